// All about one thing: a map, a key, a lock, a call site, a pair, or a step.

const KINDS = ["lookup", "insert", "delete", "iterate", "clear", "grow", "miss", "promote"];

function operations(row) {
  return facts(KINDS.map((kind) => [kind, row[kind] && countText(row[kind])]));
}

function optional(title, items) {
  return items.length > 0 ? section(title, items) : null;
}

/** Keys of a map with bars of their shares. */
function hottest(map) {
  const keys = map.keys.slice(0, 8).map((key) => {
    const bar = el("span", { class: "part" });
    bar.style.setProperty("--share", `${key.share * 100}%`);
    return el("li", {}, bar, ` ${shareText(key.share)} `, el("a", { href: key.href }, foreign(key.key, { class: "key" })));
  });
  return keys.length > 0 ? section("Hottest keys", el("ul", { class: "shares" }, keys),
    el("p", {}, el("a", { href: `#keys/${map.id}` }, "All keys of this map"))) : null;
}

function aboutMap(map) {
  const grown = map.len_first !== undefined && map.len_first !== map.len
    ? `, ${countText(map.len_first)} when first seen` : "";
  const sizes = map.sizes?.map((size, at, all) => ({
    width: size.at_ns - (all[at - 1]?.at_ns ?? 0), value: size.len,
    label: `until ${timeText(size.at_ns)}: ${countText(size.len)} elements`,
  }));
  return [
    facts([["kind", map.kind], ["type", map.type && foreign(map.type)], ["address", map.address],
      ["operations", countText(map.ops)],
      ["elements", map.len === undefined ? undefined : countText(map.len) + grown],
      ["keys", `${countText(map.tracked)} tracked, ${countText(map.keys.length)} listed`],
      ["keys unread", map.unreadable ? countText(map.unreadable) : undefined]]),
    operations(map), hottest(map), pastPictures(map.past),
    sizes && !map.past?.len ? section("Elements over time", barsPicture(sizes, "Elements over time")) : null,
    DATA.flames.ops.of[map.id] ? el("p", {}, el("a", { href: `#flame/ops/${map.id}` }, "Flame graph of its operations")) : null,
    optional("Call sites, most operations first", siteItems(map.sites)),
  ];
}

/** How far operations may be off that are scaled. */
function offText(row) {
  if (row.few) return ", too few seen to say how far that is off";
  return row.margin ? ` ±${countText(row.margin)}` : ", exact";
}

/** The same of waits, which may be a part of all. */
function waitedText(wait) {
  const waits = some(wait.count, "wait", "waits");
  if (wait.few || !wait.margin) return `${timeText(wait.sum)} in ${waits}${wait.few ? offText(wait) : ""}`;
  return `${timeText(wait.sum)} ±${timeText(wait.margin_ns)} in ${countText(wait.count)} ±${countText(wait.margin)} waits`;
}

function aboutKey(key) {
  const why = "A probe cannot wait for memory that the program has yet to touch or that is away, and pointers may lead nowhere.";
  return [
    key.cut ? el("p", {}, "Longer than what was carried: keys that begin the same may be counted as one.") : null,
    facts([["in", el("a", { href: key.map.href }, foreign(`${key.map.id} ${key.map.name}`))],
      ["type", key.type && foreign(key.type)],
      ["operations", countText(key.ops) + (DATA.window.sampled || !key.margin ? offText(key) : `, up to ${countText(key.margin)} more`)],
      ["share", `${shareText(key.share)} of the map's`]]),
    key.unreadable ? el("p", {}, why) : operations(key),
    histogram("Waited for locks", key.wait, key.wait_bars),
    histogram("Made others wait", key.blame, key.blame_bars),
    pastPictures(key.past),
    optional("Call sites, most operations first", siteItems(key.sites ?? [])),
  ];
}

function aboutLock(lock) {
  const sum = (of) => of && waitedText({ ...of, sum: of.wait_ns });
  const flames = ["wait", "blame"].filter((by) => DATA.flames[by].of[lock.id]).map((by) =>
    [el("a", { href: `#flame/${by}/${lock.id}` }, `Flame graph of its ${by}`), " "]);
  const [attributed, blamed] = lock.told;
  return [
    facts([["kind", lock.kind], ["address", lock.address],
      ["guards", lock.maps && lock.maps.map((id, at) => [at > 0 ? ", " : "",
        el("a", { href: MAPS.get(id)?.href ?? "#maps" }, foreign(mapText(id)))])],
      ["waited", lock.wait.count ? waitedText(lock.wait) : "no wait has ended"],
      ["bound", lock.bound], ["to read", sum(lock.read)], ["to write", sum(lock.write)],
      ["waiting still", lock.open_waits ? `${countText(lock.open_waits)}, the oldest for ${timeText(lock.open_max_ns)}` : undefined],
      ["attribution", attributed || blamed
        ? `${shareText(attributed)} of the wait belongs to keys, ${shareText(blamed)} is charged to a holder` : undefined]]),
    histogram("Waits", lock.wait, lock.wait_bars),
    histogram("Holds", lock.hold, lock.hold_bars, ["hold", "holds"]),
    pastPictures(lock.past),
    flames.length > 0 ? el("p", {}, flames) : null,
    optional("Who made whom wait", lock.pairs.length === 0 ? [] : [el("ul", {}, lock.pairs.slice(0, 20).map((pair) =>
      el("li", {}, el("a", { href: pair.href }, foreign(pairText(pair))))))]),
    optional("Waiters, longest total first", stackItems(lock.waiters, WANTED, hasSeveralMaps(lock))),
    optional("Held meanwhile, longest total first", stackItems(lock.holders, HELD, hasSeveralMaps(lock))),
    optional("Waiting still at the end", lock.open.map((open) => el("details", {},
      el("summary", {}, `${timeText(open.ns)} ${open.mode ? WANTED[open.mode] : ""} `,
        open.task === undefined ? "" : `${DATA.target.task} ${open.task} `, foreign(placeText(open.stack) ?? unknown)),
      stackList(open.stack)))),
  ];
}

function aboutSite(site) {
  return [
    facts([["in", el("a", { href: site.map.href }, foreign(`${site.map.id} ${site.map.name}`))],
      ["operations", countText(site.ops) + (site.few || site.margin ? `${offText(site)}, scaled from a sample` : "")],
      ["share", `${shareText(site.share)} of the map's`]]),
    operations(site), section("Where", stackList(site.stack)),
  ];
}

function aboutPair(pair) {
  return [
    facts([["lock", el("a", { href: pair.lock.href }, foreign(lockText(pair.lock.id)))],
      ["wait", waitedText({ ...pair, sum: pair.ns })],
      ["share", `${shareText(pair.share)} of the lock's`]]),
    party("Who had the lock", pair.holder), party("Who waited", pair.waiter),
  ];
}

function aboutStep(step) {
  return [facts([
    ["length", timeText(step.duration_ns)],
    ["observed", shareText(Math.min(1, step.observed_ns / (step.duration_ns || 1)))],
    ["operations", countText(step.ops)], ["events", countText(step.events)],
    ["waited", `${timeText(step.wait_ns)} in ${some(step.waits, "wait", "waits")}`],
    ["lost", step.lost ? countText(step.lost) : undefined],
    ["hottest key", step.top_key && [keyLink(...step.top_key), ` in ${step.top_key[0]}`]],
    ["most wait", step.top_lock && el("a", { href: `#locks/${step.top_lock}` }, foreign(lockText(step.top_lock)))],
  ])];
}

/** What a deep link leads to: its title and what there is to say. */
const ABOUT = {
  maps: ([id]) => describe(MAPS.get(id), (map) => `${map.id} ${map.name}`, aboutMap),
  keys: ([id, at]) => describe(at && MAPS.get(id)?.keys[at], (key) => key.key, aboutKey),
  locks: ([id]) => describe(LOCKS.get(id), (lock) => lockText(lock.id), aboutLock),
  sites: ([id, at]) => describe(SITES.find(({ href }) => href === `#sites/${id}/${at}`),
    (site) => placeText(site.stack) ?? unknown, aboutSite),
  contention: ([id, at]) => describe(LOCKS.get(id)?.pairs[at], () => "Who made whom wait", aboutPair),
  timeline: ([at]) => describe(DATA.steps[at], stepSpan, aboutStep),
};

function describe(found, title, about) {
  return found ? { title: title(found), content: about(found) } : undefined;
}

