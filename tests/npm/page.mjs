// Opens an HTML report in a browser and uses it as a reader would.
//
//   node page.mjs use|hostile|time BROWSER PAGE FOLDER [JSON]
//
// Pictures go to FOLDER, figures to stdout; what is wrong ends it with an error.
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import puppeteer from "puppeteer-core";

const [, , what, executablePath, file, folder, json] = process.argv;

/** A page without a network; everything that it complains of or asks for is written down. */
async function opened(browser, path, hash = "") {
  const page = await browser.newPage();
  const wrong = [];
  page.on("console", (message) => wrong.push(`console ${message.type()}: ${message.text()}`));
  page.on("pageerror", (error) => wrong.push(`error: ${error.message}`));
  page.on("dialog", (dialog) => { wrong.push("a dialog"); dialog.dismiss(); });
  page.on("request", (request) => {
    const url = request.url();
    const own = request.isNavigationRequest() && url.startsWith("file:");
    if (!own && !url.startsWith("data:")) wrong.push(`request of ${url}`);
  });
  await page.setViewport({ width: 1400, height: 900 });
  await page.setOfflineMode(true);
  await page.goto(pathToFileURL(path).href + hash);
  return { page, wrong };
}

/** The text of a column's cells, as far as they are drawn. */
function cells(page, column) {
  return page.evaluate((name) => {
    const heads = [...document.querySelectorAll("#main thead th")];
    const at = heads.findIndex((head) => head.dataset.column === name);
    return [...document.querySelectorAll("#main tr[data-at]")].map((row) => row.cells[at].textContent);
  }, column);
}

async function sortBy(page, column) {
  await page.click(`#main th[data-column="${column}"] button`);
  return page.$eval(`#main th[data-column="${column}"]`, (head) => head.ariaSort);
}

async function view(page, hash) {
  await page.evaluate((to) => { location.hash = to; }, hash);
  await page.waitForFunction((to) => location.hash === to && document.querySelector("#main h2"), {}, hash);
  // The event that draws it comes after the change.
  await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => setTimeout(done))));
}

async function search(page, text) {
  await page.$eval("#search", (input) => { input.value = ""; });
  await page.type("#search", text);
  if (text === "") await page.$eval("#search", (input) => input.dispatchEvent(new Event("input")));
  return page.$eval("#found", (told) => told.textContent);
}

/** What the page writes of figures is what the terminal does: the cases of `units.rs`. */
async function checkUnits(page) {
  const shown = await page.evaluate(() => ({
    counts: [0, 999, 1000, 9_994, 9_996, 99_940, 99_960, 999_499, 999_500, 2 ** 64].map(countText),
    times: [0, 999, 1_234, 999_499, 999_500, 59_900_000_000, 59_960_000_000, 123_400_000_000,
      3_720_000_000_000, 273_600_000_000_000].map(timeText),
    rates: [0, 0.001, 0.5, 1234.5].map(rateText),
    shares: [0, 0.0001, 0.1234, 0.9999, 1].map(shareText),
  }));
  assert.deepEqual(shown, {
    counts: ["0", "999", "1.00k", "9.99k", "10.0k", "99.9k", "100k", "999k", "1.00M", "18447P"],
    times: ["0ns", "999ns", "1.23µs", "999µs", "1.00ms", "59.9s", "1m00s", "2m03s", "1h02m", "3d04h"],
    rates: ["0", "<0.01", "0.50", "1.23k"],
    shares: ["0%", "<0.1%", "12.3%", ">99.9%", "100%"],
  });
}

/** Conditions mean what they mean in the terminal: the cases of `expr.rs`. */
async function checkConditions(page) {
  const values = await page.evaluate(() =>
    ["12", "1.5k", "3M", "5ms", "5 ms", "2m", "250µs", "20%", "-5%", "x", "1x", ""].map((text) => numberOf(text) ?? null));
  assert.deepEqual(values, [12, 1500, 3e6, 5e6, 5e6, 120e9, 250e3, 0.2, -0.05, null, null, null]);
  const terms = await page.evaluate(() =>
    ['wait.p99 > 5ms and OPS >= 1k', 'key ~ " and " and ops < 2', "user:42", "> 5", "ops >"].map((text) =>
      parseFilter(text).terms?.map(({ field, value }) => [field, value]) ?? null));
  assert.deepEqual(terms, [[["wait.p99", "5ms"], ["ops", "1k"]], [["key", '" and "'], ["ops", "2"]], null, null, null]);
}

/** A map's keys, and what stands for those that could not be read. */
function rowsOf(map) {
  const unreadable = Object.entries(map.unreadable ?? {}).map(([reason, n]) =>
    ({ key: `(unreadable: its ${reason} could not be read)`, ops: { lookup: n, insert: 0, delete: 0, iterate: 0, clear: 0 } }));
  return [...map.keys, ...unreadable];
}

/** Sorting by a column shows the order of the JSON's figures. */
async function checkSorting(page, summary) {
  await view(page, "#keys");
  const keys = summary.maps.flatMap(rowsOf);
  const ops = (key) => key.ops.lookup + key.ops.insert + key.ops.delete + key.ops.iterate + key.ops.clear;
  const of = (by) => keys.map(by).filter((n) => n !== undefined).sort((a, b) => b - a);
  const texts = (figures, show) => page.evaluate((all, name) => all.map((n) => globalThis[name](n)), figures, show);
  assert.ok(keys.length > 3 && of((key) => key.wait?.sum_ns).length > 1, "too few keys to tell an order");
  for (const [column, by, show] of [
    ["wait", (key) => key.wait?.sum_ns, "timeText"], ["ops", ops, "countText"], ["blame", (key) => key.blame?.sum_ns, "timeText"],
  ]) {
    const expected = await texts(of(by), show);
    assert.equal(await sortBy(page, column), "descending");
    const shown = await cells(page, column);
    assert.deepEqual(shown.filter(Boolean), expected.slice(0, shown.filter(Boolean).length), column);
    assert.equal(await sortBy(page, column), "ascending");
    const inverted = (await cells(page, column)).filter(Boolean);
    assert.deepEqual(inverted, expected.toReversed().slice(0, inverted.length), `${column}, inverted`);
  }
  // Text goes from A to Z.
  assert.equal(await sortBy(page, "key"), "ascending");
  const names = keys.map(({ key }) => key).sort((a, b) => (a < b ? -1 : Number(a > b)));
  assert.deepEqual((await cells(page, "key")).slice(0, 5), names.slice(0, 5));
}

async function checkSearch(page, summary) {
  await view(page, "#keys");
  const keys = summary.maps.flatMap(rowsOf);
  await sortBy(page, "wait");
  const longest = keys.reduce((a, b) => ((b.wait?.sum_ns ?? 0) > (a.wait?.sum_ns ?? 0) ? b : a));
  const named = keys.filter(({ key }) => key.toLowerCase().includes(longest.key.toLowerCase()));
  await search(page, longest.key);
  const found = await cells(page, "key");
  assert.ok(found.length > 0 && found.length < keys.length, `${found.length} of ${keys.length} found`);
  assert.ok(found.length >= named.length && found.includes(longest.key));
  const told = await search(page, "wait.p99 > 1ms");
  const slow = keys.filter((key) => key.wait?.p99_ns > 1e6);
  assert.ok(slow.length > 0, "no key waited");
  assert.ok(told.startsWith(`${slow.length} of `), told);
  assert.equal((await cells(page, "key")).length, slow.length);
  assert.match(await search(page, "nonsense > 1"), /no column nonsense/);
  assert.equal(await search(page, ""), "");
  assert.ok((await cells(page, "key")).length > slow.length);
}

async function checkLock(page, summary) {
  await view(page, "#locks");
  await page.focus("#main table");
  await page.keyboard.press("Enter");
  const lock = summary.locks[0];
  await page.waitForFunction((id) => location.hash === `#locks/${id}`, {}, lock.id);
  await page.waitForSelector("#detail .histogram svg");
  const text = await page.$eval("#detail", (panel) => panel.textContent);
  const p99 = await page.evaluate((ns) => timeText(ns), lock.wait.p99_ns);
  assert.ok(text.includes(lock.id) && text.includes(`p99${p99}`), text);
  const waiters = lock.waiters.length + (lock.holders?.length ?? 0);
  assert.equal(await page.$$eval("#detail details", (all) => all.length), waiters + (lock.open?.length ?? 0));
  assert.ok(lock.pairs.length > 0, "nobody is known to have made others wait");
  await page.screenshot({ path: join(folder, "lock.png") });
  await page.keyboard.press("Escape");
  await page.waitForSelector("#detail", { hidden: true });
  // A key by its deep link, and a pair by a click on its row.
  await view(page, "#keys/m1/0");
  assert.ok((await page.$eval("#detail h2", (title) => title.textContent)).length > 0);
  await view(page, "#contention");
  await page.click('#main tr[data-at="0"] td:last-child');
  await page.waitForFunction(() => document.querySelectorAll("#detail .stack").length === 2);
}

async function checkFlame(page) {
  await view(page, "#flame/wait");
  const frames = () => page.$$eval(".flame .frame", (all) => all.map((frame) => ({
    label: frame.getAttribute("aria-label"), width: frame.getBoundingClientRect().width,
    above: frame.classList.contains("above"),
  })));
  const before = await frames();
  const widest = before[0].width;
  const at = before.findIndex(({ width }) => width < widest * 0.9);
  assert.ok(at > 0, "all stacks are the same");
  await page.click(`.flame [data-node="${at}"]`);
  const zoomed = await frames();
  const chosen = zoomed.find(({ label }) => label === before[at].label);
  assert.ok(Math.abs(chosen.width - widest) < 2, `${chosen.width} of ${widest} after a click`);
  assert.ok(zoomed.filter(({ above }) => above).length > 0);
  await page.screenshot({ path: join(folder, "flame.png") });
  await page.click("#flame-reset");
  assert.deepEqual(await frames(), before);
  // The same with the keys: into the first function, and back.
  await page.focus('.flame [data-node="0"]');
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("Enter");
  assert.equal(await page.$eval('.flame [aria-selected="true"]', (frame) => frame.ariaLevel), "2");
  await page.keyboard.press("Escape");
  assert.deepEqual(await frames(), before);
  const told = await search(page, "lock");
  assert.ok((await page.$$(".flame .found")).length > 0 && told.includes("goes through"), told);
  await search(page, "");
}

async function checkTheme(page) {
  const ground = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const [before, name] = [await ground(), await page.evaluate(() => document.documentElement.dataset.theme)];
  await page.click("#theme");
  assert.notEqual(await ground(), before);
  assert.notEqual(await page.evaluate(() => document.documentElement.dataset.theme), name);
  await page.screenshot({ path: join(folder, "dark.png") });
  await page.click("#theme");
  assert.equal(await ground(), before);
}

/** Nothing but figures: every view can be shown, and tells something. */
async function eachView(page, take) {
  const views = await page.$$eval("#nav a", (links) => links.map((link) => link.hash));
  assert.equal(views.length, 8);
  for (const hash of views) {
    await view(page, hash);
    assert.ok((await page.$eval("#main", (main) => main.innerText)).trim().length > 10, hash);
    if (take) await page.screenshot({ path: join(folder, `${hash.slice(1)}.png`) });
  }
}

async function use(browser) {
  const summary = JSON.parse(readFileSync(json, "utf8"));
  const { page, wrong } = await opened(browser, file);
  await checkUnits(page);
  await checkConditions(page);
  await eachView(page, true);
  await checkSorting(page, summary);
  await checkSearch(page, summary);
  await checkLock(page, summary);
  await checkFlame(page);
  await view(page, "#overview");
  await checkTheme(page);
  await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: "dark" }]);
  const linked = await opened(browser, file, `#locks/${summary.locks[0].id}`);
  assert.ok(await linked.page.$("#detail .histogram"), "a deep link opens nothing");
  assert.deepEqual([...wrong, ...linked.wrong], []);
}

/** What may be in a name: markup, an end of the data, an order to turn around, and more. */
const HOSTILE = [
  "</script><script>window.pwned = 1</script>", "<img src=x onerror='window.pwned = 2'>",
  "\"><svg onload=window.pwned=3>", "<!--", "&lt;b&gt;", "\u2028\u2029", "javascript:window.pwned=4",
  "#locks/l1", "'\"`${window.pwned = 5}`", "x".repeat(10_000), "\u05d0\u05d1 \u0627\u0644", "__proto__", "{{data}}",
];

/** The page with every text of its data replaced by something hostile, written as mapprof does. */
function hostilePage() {
  const page = readFileSync(file, "utf8");
  const start = page.indexOf('id="data">') + 'id="data">'.length;
  const end = page.indexOf("</script", start);
  const keep = new Set(["id", "map", "mode", "severity", "subject", "top_lock", "maps", "task"]);
  let at = 0;
  const data = JSON.parse(page.slice(start, end), (name, value) => {
    if (typeof value !== "string" || keep.has(name)) return value;
    at += 1;
    return `${HOSTILE[at % HOSTILE.length]} ${at}`;
  });
  const escape = (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`;
  const inert = JSON.stringify(data).replace(/[<>&\u2028\u2029]/g, escape);
  const path = join(folder, "hostile.html");
  writeFileSync(path, page.slice(0, start) + inert + page.slice(end));
  return { path, data };
}

async function hostile(browser) {
  const { path, data } = hostilePage();
  assert.ok(data.frames.length > HOSTILE.length, "too few names for every kind of text");
  const { page, wrong } = await opened(browser, path);
  const scripts = await page.$$eval("script", (all) => all.length);
  await eachView(page);
  const keys = data.maps.flatMap((map) => map.keys.map((_, at) => `#keys/${map.id}/${at}`));
  const locks = data.locks.map(({ id }) => `#locks/${id}`);
  for (const hash of [...keys.slice(0, HOSTILE.length), ...locks, "#contention/l1/0", "#sites/m1/0", "#flame/ops"]) {
    await view(page, hash);
  }
  await view(page, "#keys");
  await page.screenshot({ path: join(folder, "hostile.png") });
  await search(page, "<img src=x onerror='window.pwned = 6'>");
  await search(page, "<img> < 5");
  assert.equal(await page.evaluate(() => window.pwned), undefined);
  assert.equal(await page.$$eval("script", (all) => all.length), scripts);
  assert.equal((await page.$$("img, iframe, object, embed, base, form")).length, 0);
  // What is not in the page at all can do nothing, even where it got into it.
  await page.evaluate(() => document.body.append(Object.assign(document.createElement("script"), { textContent: "window.pwned = 7" })));
  assert.equal(await page.evaluate(() => window.pwned), undefined, "the policy lets scripts in");
  assert.deepEqual(wrong.filter((line) => !line.includes("Content Security Policy")), []);
  assert.equal(wrong.length, 1, wrong.join("\n"));
}

/** How long what a reader does takes in the browser, ms. */
async function time(browser) {
  const { page, wrong } = await opened(browser, file, "#keys");
  const ready = await page.evaluate(() => performance.getEntriesByType("navigation")[0].domContentLoadedEventEnd);
  const took = (action) => page.evaluate(`(() => {
    const before = performance.now();
    ${action};
    document.body.offsetHeight;
    return performance.now() - before;
  })()`);
  const rows = await page.evaluate(() => PAGE.view.rows.length);
  const drawn = () => page.$$eval("#main tr[data-at]", (all) => all.length);
  const typed = (text) => `byId("search").value = ${JSON.stringify(text)}; byId("search").dispatchEvent(new Event("input"))`;
  const figures = {
    rows, drawn: await drawn(), ready_ms: ready,
    sort_figures_ms: await took('PAGE.view.sortBy("share")'),
    sort_text_ms: await took('PAGE.view.sortBy("key")'),
    search_text_ms: await took(typed("0049")),
    search_condition_ms: await took(typed("ops >= 2 and key ~ 77")),
    search_nothing_ms: await took(typed("")),
    scroll_ms: await took("PAGE.view.node.scrollTop = 600000; PAGE.view.draw()"),
    open_ms: await took('PAGE.keysOf = undefined; showDetail({ name: "keys", path: ["m1", "777"] })'),
  };
  figures.drawn_far_down = await drawn();
  await page.focus("#main table");
  await page.keyboard.press("End");
  figures.last_row = await page.$eval("#main tr.active", (row) => Number(row.dataset.at));
  await page.screenshot({ path: join(folder, "many.png") });
  assert.deepEqual(wrong, []);
  assert.equal(figures.last_row, rows - 1);
  assert.ok(figures.drawn < 200 && figures.drawn_far_down < 200, "rows are drawn that nobody sees");
  console.log(JSON.stringify(figures));
}

const browser = await puppeteer.launch({ executablePath, headless: true, args: ["--no-sandbox", "--disable-gpu"] });
try {
  await { use, hostile, time }[what](browser);
} finally {
  await browser.close();
}
