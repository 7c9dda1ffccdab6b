// Stacks, and whose they are.

/** The frames of a stack, innermost first; the runtime's own in grey. */
function stackList(stack) {
  const frames = framesOf(stack);
  if (frames.length === 0) return el("p", { class: "nothing" }, unknown);
  return el("ol", { class: "stack" }, frames.map((frame) =>
    el("li", { class: frame.runtime ? "runtime" : undefined, title: [frame.full ?? frame.name, frame.file].filter(Boolean).join("\n") },
      foreign(frame.name), " ", foreign(frame.at ?? "", { class: "at" }))));
}

const WANTED = { read: "to read", write: "to write" };
const HELD = { read: "by readers", write: "by a writer" };

/** A key amid other text, leading to its details where it is listed. */
function keyLink(map, key) {
  const listed = keyNamed(map, key);
  const shown = foreign(key, { class: "key" });
  return listed ? el("a", { href: listed.href }, shown) : shown;
}

function keyParts(parts) {
  if (parts.length === 0) return null;
  return el("p", {}, "for ", parts.map((part, at) =>
    [at > 0 ? ", " : "", keyLink(part.map, part.key), ` ${timeText(part.wait_ns)}`]));
}

/** Who waited or held: figures, keys, tasks and the stack, folded together. */
function stackItem(row, modes, opened) {
  const { task } = DATA.target;
  const mode = row.mode ? ` ${modes[row.mode]}` : "";
  const tasks = row.tasks.length > 0
    ? el("p", {}, `${task}${row.tasks.length === 1 ? "" : "s"} ${row.tasks.join(", ")}`) : null;
  return el("details", { open: opened },
    el("summary", {}, el("b", {}, shareText(row.share)), ` ${waitedText({ ...row, sum: row.ns })}${mode} `,
      foreign(placeText(row.stack) ?? unknown)),
    keyParts(row.keys), tasks, stackList(row.stack));
}

function stackItems(rows, modes) {
  return rows.map((row, at) => stackItem(row, modes, at === 0));
}

/** One side of a pair. */
function party(title, side) {
  const key = side.key === undefined ? "no key is known" : keyLink(side.map, side.key);
  return section(title, el("p", {}, key), stackList(side.stack));
}

function pairText(pair) {
  const side = ({ key, stack }) => [key && `${key} at`, placeText(stack) ?? unknown].filter(Boolean).join(" ");
  return `${side(pair.holder)} cost ${side(pair.waiter)} ${waitedText({ ...pair, sum: pair.ns })}`;
}

function siteItems(sites) {
  return sites.map((site) => el("details", {},
    el("summary", {}, el("b", {}, shareText(site.share)), ` ${countText(site.ops)}`,
      site.margin ? ` ±${countText(site.margin)}` : "", " ", foreign(placeText(site.stack) ?? unknown)),
    stackList(site.stack)));
}

