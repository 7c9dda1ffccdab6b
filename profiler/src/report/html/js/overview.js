// The overview: how much happened, what stands out, and what the figures leave out.

/** Rows of each of the short tables. */
const TOP = 8;

function windowFacts() {
  const { window: whole, maps } = DATA;
  const operations = maps.reduce((sum, map) => sum + map.ops, 0);
  const [wait] = whole.attribution ?? [];
  return facts([
    ["length", timeText(whole.duration_ns)],
    ["observed", shareText(whole.observed) + (whole.windows ? ` in ${some(whole.windows, "window", "windows")}` : "") +
      (whole.locks_observed === undefined ? "" : `, locks ${shareText(whole.locks_observed)}`)],
    ["operations", `${countText(operations)}, ${rateText(perSecond(operations, SPAN) ?? 0)} per second`],
    ["waited", wait === undefined ? "nobody waited" : `${timeText(wait)}, ${timeText(perSecond(wait, SPAN) ?? 0)} per second`],
    ["events", `${countText(whole.events)}, ${rateText(perSecond(whole.events, SPAN) ?? 0)} per second`],
  ]);
}

/** What profiling cost, and what is missing. */
function honesty() {
  const { window: whole } = DATA;
  const share = whole.target_cpu_share;
  const lost = Object.entries(whole.lost).map(([reason, n]) => `${countText(n)} ${reason.replaceAll("_", " ")}`);
  const [, attributed, blamed] = whole.attribution ?? [];
  return facts([
    ["cost", `about ${timeText(whole.probe_ns)} in probes` +
      (share === undefined ? "" : `, ${shareText(share)} of the target's CPU time`) +
      (whole.max_share === undefined ? "" : ` (at most ${shareText(whole.max_share)})`) +
      (whole.hit_ns === undefined ? "" : `, ${timeText(whole.hit_ns)} a hit`)],
    ["sampled", whole.sampled ? "figures are scaled from what was observed; ±n is half the width of a 95% interval" : undefined],
    ["slowed", whole.slowed === undefined ? undefined
      : `while it is observed the target spends ${shareText(whole.slowed)} of its CPU time in probes and does less, so operations are at least (≥) what is shown`],
    ["lost", lost.length === 0 ? "nothing" : lost.join(", ")],
    ["not included", whole.not_included.join("; ")],
    ["attribution", attributed === undefined ? undefined
      : `${shareText(attributed)} of the wait belongs to keys, ${shareText(blamed)} is charged to a holder`],
  ]);
}

function subjectLink(subject) {
  const found = MAPS.get(subject) ?? LOCKS.get(subject);
  return found ? el("a", { href: found.href }, subject) : null;
}

function findingItem(finding) {
  return el("li", { class: finding.severity },
    el("p", {}, el("strong", {}, finding.severity), " ", foreign(finding.message), " ", subjectLink(finding.subject)),
    el("p", { class: "advice" }, "→ ", foreign(finding.advice)));
}

class Overview {
  constructor(open) {
    const top = (name, rows, columns, sort, ids) => new Table({
      name, rows, open, sort, limit: TOP,
      columns: columns.filter(({ id }) => ids.includes(id)),
    });
    this.tables = [
      top("Most wait", DATA.locks, LOCK_COLUMNS, "wait", ["id", "lock", "wait", "waits", "wait.p99"]),
      top("Hottest keys", KEYS, KEY_COLUMNS, "ops", ["key", "share", "ops", "wait", "blame", "id"]),
      top("Hottest maps", DATA.maps, MAP_COLUMNS, "ops", ["id", "map", "ops/s", "ops", "keys"]),
      top("Who made whom wait", PAIRS, PAIR_COLUMNS, "wait", ["holder", "waiter", "waited", "wait", "id"]),
    ];
    this.findings = el("ul", { class: "findings" });
    this.list(DATA.findings);
    const timeline = DATA.steps.length > 1
      ? section("Over time", new Timeline((step) => open(step)).node) : null;
    this.node = el("div", {}, windowFacts(),
      DATA.findings.length > 0 ? section("Findings", this.findings) : null, timeline,
      el("div", { class: "halves" }, this.tables.filter((table) => table.all.length > 0).map((table) => section(table.name, table.node))),
      section("What the figures cost and leave out", honesty()));
  }

  list(findings) {
    replace(this.findings, findings.map(findingItem));
  }

  filter(filter) {
    this.tables.forEach((table) => table.filter(filter));
    if (filter.terms) return {};
    const shown = DATA.findings.filter(({ message }) => message.toLowerCase().includes(filter.text));
    this.list(shown);
    return {};
  }

  draw() {
    this.tables.forEach((table) => table.draw());
  }

  refresh() {
    this.tables.forEach((table) => table.refresh());
  }
}

