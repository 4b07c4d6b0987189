// One step of a person going through results: scroll, wait until the pictures in view are there, and hand out the
// HTML of every result that was not handed out before. Called with the options `o` and WebDriver's callback `done`.
const [o, done] = arguments;
const KEY = Symbol.for("tray");
// What is handed out stays in the outbox until the next call says that it arrived: an alert can swallow an answer.
const memory = (window[KEY] ??= { results: new WeakMap(), outbox: [], sent: Math.floor(Math.random() * 1e9), answers: [], hovered: 0, revealed: 0, presses: 0, back: Infinity, tops: [], said: new Map(), scripts: new WeakSet() });
// What the page's own scripts fetch counts for how much the engine is asked.
memory.watch ??= new PerformanceObserver((list) => {
  memory.answers.push(...list.getEntries().filter((one) => /^(fetch|xmlhttprequest)$/.test(one.initiatorType)).map((one) => one.responseEnd));
});
if (!memory.watching) memory.watch.observe({ type: "resource", buffered: true });
memory.watching = true;
if (o.received === memory.sent) memory.outbox = [];
const tiles = memory.outbox;

const placeholder = (src) => !src || (src.startsWith("data:image/gif") && src.length < 150) || src.startsWith("data:image/svg");
const sleep = (ms) => new Promise((wake) => setTimeout(wake, ms));
const until = async (condition, ms) => {
  const end = performance.now() + ms;
  while (!condition() && performance.now() < end) await sleep(25);
};

// A result without a declared selector: the largest element around one large picture and no other.
const large = (img) => {
  const box = img.getBoundingClientRect();
  return box.width >= 60 && box.height >= 60;
};
const around = (img) => {
  let node = img;
  for (let up = img.parentElement; up && up !== document.body && up !== document.documentElement; up = up.parentElement) {
    if ([...up.querySelectorAll("img")].filter(large).length !== 1) break;
    node = up;
  }
  return node;
};
const results = () => (o.tile ? [...document.querySelectorAll(o.tile)] : [...new Set([...document.images].filter(large).map(around))]);
const count = () => (o.tile ? document.querySelectorAll(o.tile).length : document.images.length);

const scroller = () => {
  const root = document.scrollingElement ?? document.documentElement;
  const first = o.tile && document.querySelector(o.tile);
  for (let node = first?.parentElement; node && node !== document.body && node !== root; node = node.parentElement) {
    if (node.scrollHeight > node.clientHeight + 40 && /auto|scroll/.test(getComputedStyle(node).overflowY)) return node;
  }
  return root;
};
const top = (el, box) => el.getBoundingClientRect().top + box.scrollTop;
const FAR = 8;
// Milliseconds that a page's scripts are waited for which never rest.
const AT_WORK = 2000;
// What comes in above pushes down what was there: it is gone back up to, if it is not too far.
const findPushed = (box) => {
  const pushed = memory.tops.find(([el, was]) => el.isConnected && top(el, box) - was > 100);
  if (pushed && box.scrollTop - pushed[1] < FAR * innerHeight) memory.back = Math.min(memory.back, pushed[1] - 100);
};
const atBottom = (box) => box.scrollTop + box.clientHeight >= box.scrollHeight - 4;

// A page that recycles its elements shows another result in the same one.
const signature = (el) => {
  for (const name of ["m", "data-origurl", "data", "data-docid", "data-lpage", "id"]) {
    const value = el.getAttribute(name);
    if (value) return value;
  }
  return "";
};
const memo = (el) => {
  let known = memory.results.get(el);
  if (!known || known.signature !== signature(el)) {
    const nested = Boolean(o.tile && el.parentElement?.closest(o.tile));
    known = { signature: signature(el), looks: 0, hovers: 0, handed: nested };
    memory.results.set(el, known);
  }
  return known;
};
// What the page's scripts say of results: id, address, height, width.
const unescaped = (text) => text.replace(/\\(?:x|u00)([0-9a-f]{2})/gi, (_, code) => String.fromCharCode(parseInt(code, 16))).replaceAll("\\/", "/");
for (const script of o.inline ? document.scripts : []) {
  if (memory.scripts.has(script)) continue;
  memory.scripts.add(script);
  for (const [, id, full, height, width] of script.text.matchAll(new RegExp(o.inline, "g"))) memory.said.set(id, [unescaped(full), height, width]);
}
const said = (el) => {
  if (!memory.said.size) return null;
  const named = el.matches("[data-docid]") ? el : el.querySelector("[data-docid]");
  return (named && memory.said.get(named.dataset.docid)) ?? null;
};
const full = (el) => memory.results.get(el)?.full ?? said(el);
const linked = (el) => !o.reveal || el.matches(o.reveal) || Boolean(el.querySelector(o.reveal)) || Boolean(full(el));
const html = (el) => {
  const found = full(el);
  if (!found) return el.outerHTML;
  const copy = el.cloneNode(true);
  ["", "-height", "-width"].forEach((part, place) => found[place] && copy.setAttribute(o.mark + part, found[place]));
  return copy.outerHTML;
};

// Where the mouse alone brought nothing, a click may: a link, or the picture in a panel.
const TRIES = 8;
const pressing = () => Boolean(o.panel && !memory.revealed && memory.hovered >= Math.min(TRIES, results().length)) ||
  Boolean(o.panel && memory.presses && memory.opened);
const hopeless = () => memory.presses >= TRIES && !memory.opened;
const opened = (el) => {
  for (const img of document.querySelectorAll(o.panel)) {
    const src = img.src;
    if (/^https?:/.test(src) && !el.contains(img) && large(img) && !memory.shown.has(src) && !new RegExp(o.own).test(src)) {
      return [src, "", ""];
    }
  }
  return null;
};
const pictured = (el) => {
  const img = el.tagName === "IMG" ? el : el.querySelector("img");
  return !img || !placeholder(img.getAttribute("src")) || Boolean(img.dataset.src);
};

const handOut = (looked) => {
  let unrevealed = Infinity;
  for (const el of o.handOut ? results() : []) {
    const known = memo(el);
    if (known.handed) continue;
    const box = el.getBoundingClientRect();
    const passed = box.top < innerHeight && box.width > 0 && (box.bottom > 0 || !o.reveal || known.hovers > 0);
    if (looked && passed) known.looks += 1;
    const unpressed = !linked(el) && pressing() && !hopeless() && !known.presses;
    if ((linked(el) && pictured(el)) || (known.looks >= o.looks && !unpressed) || o.flush) {
      known.handed = true;
      if (o.reveal && linked(el)) memory.revealed += 1;
      tiles.push(html(el));
    } else if (!linked(el) && (known.hovers < 1 || unpressed)) {
      unrevealed = Math.min(unrevealed, box.top);
    }
  }
  return unrevealed;
};

const glide = async (box, distance, ms) => {
  const from = box.scrollTop;
  const started = performance.now();
  // Frames stop in a covered window; the timer goes on.
  const frame = () => Promise.race([new Promise(requestAnimationFrame), sleep(100)]);
  for (let share = 0; share < 1; ) {
    share = ms > 0 ? Math.min(1, (performance.now() - started) / ms) : 1;
    const eased = share < 0.5 ? 2 * share * share : 1 - 2 * (1 - share) * (1 - share);
    box.scrollTo({ top: from + distance * eased, behavior: "instant" });
    await frame();
  }
};

(async () => {
  if (memory.pressed) {
    const [el, known] = memory.pressed;
    const came = () => linked(el) || (known.full = opened(el));
    await until(came, o.patience);
    memory.opened = Boolean(came()) || memory.opened;
    memory.pressed = null;
  }
  const box = scroller();
  findPushed(box);
  if (box.scrollTop <= Math.max(0, memory.back) + 4) memory.back = Infinity;
  // Since the last step ended, not since this one began: a page grows between two steps too.
  const [before, height] = memory.extent ?? [count(), box.scrollHeight];
  const from = box.scrollTop;
  const unrevealed = handOut(false);
  // Never past a result that the mouse has not been over: its link would never come.
  const onward = Math.min(o.distance * innerHeight, Math.max(0, unrevealed - 40));
  const back = Math.min(box.scrollTop - memory.back, Math.abs(o.distance) * innerHeight);
  const distance = back > 0 ? -back : onward;
  // Where nothing is recognised, nothing is to be scrolled past.
  if (distance && count()) await glide(box, distance, o.duration);
  const grew = () => count() !== before || box.scrollHeight > height + 4;
  await until(() => results().every((el) => {
    if (memo(el).handed) return true;
    const at = el.getBoundingClientRect();
    return at.bottom < 0 || at.top > innerHeight || pictured(el);
  }), o.settle);
  if (atBottom(box)) await until(grew, o.wait);
  // Patience is for a page whose scripts have nothing left to do.
  if (atBottom(box) && o.wait && !grew()) await new Promise((wake) => requestIdleCallback(wake, { timeout: AT_WORK }));
  handOut(true);
  const hover = [];
  if (o.reveal && o.handOut) {
    for (const el of results()) {
      const known = memo(el);
      if (known.handed || linked(el) || (known.hovers > 1 && pressing())) continue;
      const at = (el.querySelector("img") ?? el).getBoundingClientRect();
      const x = Math.round(at.left + at.width / 2);
      const y = Math.round(at.top + at.height / 2);
      if (at.width > 0 && x > 0 && y > 2 && x < innerWidth - 2 && y < innerHeight - 2) {
        known.hovers += 1;
        hover.push([x, y]);
      }
    }
  }
  findPushed(box);
  memory.tops = results().filter((el) => memo(el).handed).map((el) => [el, top(el, box)]);
  memory.hovered += hover.length;
  let press = [];
  if (!hover.length && o.handOut && pressing() && !hopeless()) {
    for (const el of results()) {
      const known = memo(el);
      const at = (el.querySelector("img") ?? el).getBoundingClientRect();
      const [x, y] = [Math.round(at.left + at.width / 2), Math.round(at.top + at.height / 2)];
      if (known.handed || known.presses || linked(el) || !at.width || x <= 0 || y <= 2 || x >= innerWidth - 2 || y >= innerHeight - 2) continue;
      known.presses = 1;
      memory.presses += 1;
      memory.pressed = [el, known];
      memory.shown = new Set([...document.images].map((img) => img.src));
      press = [x, y];
      break;
    }
  }
  memory.sent += 1;
  const more = grew();
  // A page that blinks at its bottom does not grow each time.
  memory.extent = [count(), Math.max(height, box.scrollHeight)];
  const answers = memory.answers.map((end) => Math.max(0, performance.now() - end) / 1000);
  done({
    tiles,
    hover,
    press,
    answers,
    count: count(),
    grew: more,
    moved: Math.abs(box.scrollTop - from) > 2,
    bottom: atBottom(box),
    hidden: document.visibilityState === "hidden",
    sent: memory.sent,
  });
})().catch((error) => done({ error: String(error) }));
