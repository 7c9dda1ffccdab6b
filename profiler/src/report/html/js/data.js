// The data of the page, with names for what the JSON keeps in rows.

const DATA = JSON.parse(byId("data").textContent);

const TIMES = ["count", "sum", "min", "p50", "p90", "p99", "p999", "max", "margin", "margin_ns", "few"];

/** A distribution by the names of its figures. */
function named(times) {
  return times && Object.fromEntries(TIMES.map((name, at) => [name, times[at]]));
}

function prepareKey(map, key, at) {
  key.map = map;
  key.href = `#keys/${map.id}/${at}`;
  key.type = key.type ?? (key.unreadable ? undefined : map.key_type);
  key.wait = named(key.wait);
  key.blame = named(key.blame);
}

function prepareMap(map) {
  map.href = `#maps/${map.id}`;
  map.keys.forEach((key, at) => prepareKey(map, key, at));
}

function prepareLock(lock) {
  lock.href = `#locks/${lock.id}`;
  lock.wait = named(lock.wait);
  lock.hold = named(lock.hold);
  lock.pairs.forEach((pair, at) => Object.assign(pair, { lock, href: `#contention/${lock.id}/${at}` }));
}

DATA.maps.forEach(prepareMap);
DATA.locks.forEach(prepareLock);

DATA.steps.forEach((step, at) => { step.href = `#timeline/${at}`; });

const MAPS = new Map(DATA.maps.map((map) => [map.id, map]));
const LOCKS = new Map(DATA.locks.map((lock) => [lock.id, lock]));
const SPAN = DATA.window.duration_ns;

/** All keys, map by map. */
const KEYS = DATA.maps.flatMap((map) => map.keys);
/** All call sites, map by map. */
const SITES = DATA.maps.flatMap((map) =>
  map.sites.map((site, at) => ({ ...site, map, href: `#sites/${map.id}/${at}` })));
/** Who made whom wait, lock by lock. */
const PAIRS = DATA.locks.flatMap((lock) => lock.pairs);

/** The lines of code of a stack, innermost first. */
function framesOf(stack) {
  return DATA.stacks[stack].map((frame) => DATA.frames[frame]);
}

/** The frame that the program's author would name. */
function ownFrame(frames) {
  const at = frames.findIndex((frame) => !frame.runtime);
  // A method that merely passes a lock's on is not what it was called for.
  const own = at > 0 ? frames.slice(at).find((frame) => !frame.runtime && !frame.passes_on) : undefined;
  return own ?? frames[at] ?? frames[0];
}

/** `main.(*Cache).Get cache.go:42`. */
function frameText(frame) {
  return frame.at ? `${frame.name} ${frame.at}` : frame.name;
}

/** The line that a stack stands for; undefined where the stack is not known. */
function placeText(stack) {
  const frame = ownFrame(framesOf(stack));
  return frame && frameText(frame);
}

/** All of a stack in one line. */
function stackText(stack) {
  return framesOf(stack).map(frameText).join(" ← ");
}

/** Key rows by the ids of their maps and their texts, made when first asked for. */
function keyNamed(map, text) {
  const of = MAPS.get(map);
  if (!of) return undefined;
  of.byText ??= new Map(of.keys.map((key) => [key.key, key]));
  return of.byText.get(text);
}

/** `m1 map[string]int in main.f`, for maps named by their ids. */
function mapText(id) {
  const map = MAPS.get(id);
  return map ? `${id} ${map.name}` : id;
}

