// A distribution of times: percentiles, and bars on a logarithmic axis beside them.

const PERCENTILES = [
  ["min", "min"], ["p50", "p50"], ["p90", "p90"], ["p99", "p99"], ["p999", "p99.9"], ["max", "max"],
];

/** Height of the bars in the picture's own units. */
const BARS_HIGH = 100;

/** Bars of any figures: each `{ width, value, label }`. */
function barsPicture(bars, label) {
  const most = Math.max(1, ...bars.map(({ value }) => value ?? 0));
  const all = bars.reduce((sum, { width }) => sum + width, 0) || 1;
  let x = 0;
  const drawn = bars.map(({ width, value, label: told }) => {
    const wide = (width / all) * 1000;
    const gap = Math.min(1, wide * 0.06);
    const high = value ? Math.max(1.5, (value / most) * BARS_HIGH) : 0;
    const bar = svg("rect", {
      x: x + gap, y: BARS_HIGH - high, width: wide - 2 * gap, height: high,
      class: value === undefined ? "unknown" : "bar",
    });
    const room = svg("rect", { x, y: 0, width: wide, height: BARS_HIGH, class: "room" },
      svg("title", {}, told));
    x += wide;
    return [bar, room];
  });
  return svg("svg", {
    viewBox: `0 0 1000 ${BARS_HIGH}`, preserveAspectRatio: "none", class: "bars", role: "img",
    "aria-label": label,
  }, drawn);
}

/** `times` by name, of `what`; `bars`: edges and how many between two of them, where that is known. */
function histogram(title, times, bars, what = ["wait", "waits"]) {
  if (!times || times.count === 0) return null;
  const figures = facts(PERCENTILES.map(([name, shown]) => [shown, timeText(times[name])]));
  const sum = `${timeText(times.sum)} in ${some(times.count, ...what)}`;
  const content = [figures];
  if (bars) {
    const [edges, counts] = bars;
    const drawn = counts.map((value, at) => ({
      width: 1, value,
      label: `${timeText(edges[at])} – ${timeText(edges[at + 1])}: ${countText(value)}`,
    }));
    content.push(el("div", { class: "picture" }, barsPicture(drawn, `${title}: how many by time`),
      el("div", { class: "axis" }, el("span", {}, timeText(edges[0])),
        el("span", {}, "how many by time, on a logarithmic axis"),
        el("span", {}, timeText(edges[edges.length - 1])))));
  }
  return el("figure", { class: "histogram" }, el("figcaption", {}, `${title}: ${sum}`), content);
}

