// What the tables show: maps, keys, locks, call sites and pairs as rows.

const column = (kind) => (id, title, of, help) => ({ id, title, kind, of, help });
const text = column("text");
const count = column("count");
const rate = column("rate");
const time = column("time");
const share = column("share");
const margin = column("margin");
const within = column("within");

/** What has too few events for a margin is less certain than all that has one. */
const marginOf = (row) => (row.few ? Infinity : row.margin || undefined);
const ofInterval = "half the width of the 95% interval";

/** Absent where there is nothing of it. */
const some0 = (n) => n || undefined;
const kindColumns = (...kinds) => kinds.map((kind) =>
  count(kind, kind, (row) => (row.unreadable === true ? undefined : row[kind] ?? 0), `operations: ${kind}`));
const opsRate = rate("ops/s", "ops/s", (row) => perSecond(row.ops, SPAN), "operations per second");
const ops = count("ops", "ops", (row) => row.ops, "operations");

const MAP_COLUMNS = [
  text("id", "Id", (map) => map.id),
  text("map", "Map", (map) => map.name),
  opsRate, ops,
  within("±", "±", marginOf, ofInterval),
  ...kindColumns("lookup", "insert", "delete", "iterate", "clear", "grow").map((kind) =>
    ({ ...kind, of: (map) => map[kind.id] ?? 0 })),
  count("len", "len", (map) => map.len, "elements at the end"),
  count("keys", "keys", (map) => map.tracked, "distinct keys"),
  count("no key", "no key", (map) => some0(map.unreadable), "operations whose key could not be read"),
  text("hottest", "Hottest key", (map) => map.keys[0]?.key),
  share("its share", "its share", (map) => map.keys[0]?.share),
  text("used", "Used most in", (map) => map.sites[0] && placeText(map.sites[0].stack)),
  text("address", "Address", (map) => map.address),
  text("kind", "Kind", (map) => map.kind),
];

const waitColumns = (of, prefix) => ["p50", "p90", "p99", "p999", "max"].map((name) => {
  const title = name === "p999" ? "p99.9" : name;
  return time(`${prefix}.${title}`, `${prefix} ${title}`, (row) => (of(row)?.count ? of(row)[name] : undefined));
});

const KEY_COLUMNS = [
  text("key", "Key", (key) => key.key),
  share("share", "share", (key) => key.share, "of the map's operations"),
  opsRate, ops,
  margin("margin", "margin", marginOf, DATA.window.sampled ? ofInterval : "up to so many operations more"),
  time("wait", "wait", (key) => key.wait?.sum, "waits for locks that belong to this key"),
  time("blame", "blame", (key) => key.blame?.sum, "others' waits while a lock was held for this key"),
  ...waitColumns((key) => key.wait, "wait").filter(({ id }) => id === "wait.p99" || id === "wait.max"),
  ...waitColumns((key) => key.blame, "blame").filter(({ id }) => id === "blame.p99"),
  ...kindColumns("lookup", "insert", "delete"),
  text("type", "Type", (key) => key.type),
  text("map", "Map", (key) => key.map.name),
  text("id", "Id", (key) => key.map.id),
];

const LOCK_COLUMNS = [
  text("id", "Id", (lock) => lock.id),
  text("lock", "Lock", (lock) => lock.name),
  time("wait/s", "wait/s", (lock) => perSecond(lock.wait.sum, SPAN), "time waited per second of the run"),
  time("wait", "wait", (lock) => lock.wait.sum, "time waited, summed over all who waited"),
  count("waits", "waits", (lock) => lock.wait.count),
  within("±", "±", (lock) => marginOf(lock.wait), `${ofInterval} of how many waits there were`),
  rate("waits/s", "waits/s", (lock) => perSecond(lock.wait.count, SPAN)),
  ...waitColumns((lock) => lock.wait, "wait").map((column) =>
    ({ ...column, title: column.title.slice("wait ".length) })),
  count("now", "now", (lock) => lock.open_waits, "waits that have not ended"),
  time("oldest", "oldest", (lock) => (lock.open_waits ? lock.open_max_ns : undefined)),
  share("of keys", "of keys", (lock) => some0(lock.told[0]), "of the wait belongs to keys"),
  share("blamed", "blamed", (lock) => some0(lock.told[1]), "of the wait is charged to a known holder"),
  text("waiter", "Waits most in", (lock) => lock.waiters[0] && placeText(lock.waiters[0].stack)),
  text("guards", "Guards", (lock) => lock.maps?.map(mapText).join(", ")),
  text("address", "Address", (lock) => lock.address),
];

const SITE_COLUMNS = [
  text("place", "Call site", (site) => placeText(site.stack)),
  share("share", "share", (site) => site.share, "of the map's operations"),
  opsRate, ops,
  within("±", "±", marginOf, ofInterval),
  ...kindColumns("lookup", "insert", "delete", "iterate", "clear"),
  text("map", "Map", (site) => site.map.name),
  text("id", "Id", (site) => site.map.id),
];

const unknown = "an unknown place";
const PAIR_COLUMNS = [
  text("holder", "Holder's key", (pair) => pair.holder.key),
  text("held", "Held at", (pair) => placeText(pair.holder.stack) ?? unknown),
  text("waiter", "Waiter's key", (pair) => pair.waiter.key),
  text("waited", "Waited at", (pair) => placeText(pair.waiter.stack) ?? unknown),
  time("wait", "wait", (pair) => pair.ns),
  count("waits", "waits", (pair) => pair.count, "waits, or parts of them"),
  share("share", "share", (pair) => pair.share, "of the lock's wait"),
  text("lock", "Lock", (pair) => pair.lock.name),
  text("id", "Id", (pair) => pair.lock.id),
];

const STEP_COLUMNS = [
  time("at", "at", (step) => step.at_ns, "since the beginning"),
  time("length", "length", (step) => step.duration_ns),
  rate("ops/s", "ops/s", (step) => perSecond(step.ops, step.duration_ns)),
  count("ops", "ops", (step) => step.ops),
  time("wait/s", "wait/s", (step) => perSecond(step.wait_ns, step.duration_ns)),
  time("wait", "wait", (step) => step.wait_ns),
  count("waits", "waits", (step) => step.waits),
  count("lost", "lost", (step) => step.lost, "events that did not arrive or did not fit"),
  text("key", "Hottest key", (step) => step.top_key?.[1]),
  text("lock", "Lock with most wait", (step) => step.top_lock && lockText(step.top_lock)),
];

function lockText(id) {
  const lock = LOCKS.get(id);
  return lock ? `${id} ${lock.name}` : id;
}

