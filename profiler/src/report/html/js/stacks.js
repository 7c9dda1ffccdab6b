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

function keyParts(parts, ofSeveral) {
  if (parts.length === 0) return null;
  return el("p", {}, "for ", parts.map((part, at) =>
    [at > 0 ? ", " : "", keyLink(part.map, part.key), ofSeveral ? ` of ${part.map}` : "", ` ${timeText(part.wait_ns)}`]));
}

/** Whether the keys that a lock's waits and holders are about are of several maps. */
function hasSeveralMaps(lock) {
  const parts = [...lock.waiters, ...lock.holders].flatMap((row) => row.keys);
  const sides = lock.pairs.flatMap((pair) => [pair.holder, pair.waiter]);
  return new Set([...parts, ...sides].map(({ map }) => map).filter((map) => map !== undefined)).size > 1;
}

/** Who waited or held: figures, keys, tasks and the stack, folded together. */
function stackItem(row, modes, opened, ofSeveral) {
  const { task } = DATA.target;
  const mode = row.mode ? ` ${modes[row.mode]}` : "";
  const tasks = row.tasks.length > 0
    ? el("p", {}, `${task}${row.tasks.length === 1 ? "" : "s"} ${row.tasks.join(", ")}`) : null;
  return el("details", { open: opened },
    el("summary", {}, el("b", {}, shareText(row.share)), ` ${waitedText({ ...row, sum: row.ns })}${mode} `,
      foreign(placeText(row.stack) ?? unknown)),
    keyParts(row.keys, ofSeveral), tasks, stackList(row.stack));
}

function stackItems(rows, modes, ofSeveral) {
  return rows.map((row, at) => stackItem(row, modes, at === 0, ofSeveral));
}

/** One side of a pair. */
function party(title, side) {
  const key = side.key === undefined ? "no key is known" : keyLink(side.map, side.key);
  return section(title, el("p", {}, key), stackList(side.stack));
}

function pairText(pair) {
  const named = ({ map, key }) => hasSeveralMaps(pair.lock) ? `${key} of ${map}` : key;
  const side = (of) => [of.key && `${named(of)} at`, placeText(of.stack) ?? unknown].filter(Boolean).join(" ");
  return `${side(pair.holder)} cost ${side(pair.waiter)} ${waitedText({ ...pair, sum: pair.ns })}`;
}

function siteItems(sites) {
  return sites.map((site) => el("details", {},
    el("summary", {}, el("b", {}, shareText(site.share)), ` ${countText(site.ops)}`,
      site.margin ? ` ±${countText(site.margin)}` : "", " ", foreign(placeText(site.stack) ?? unknown)),
    stackList(site.stack)));
}

