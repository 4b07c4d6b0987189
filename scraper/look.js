// What kind of page this is: its address, the status of its answer, and which of the markers in `o` hold.
const [o] = arguments;
const visible = (el) => {
  const box = el.getBoundingClientRect();
  return box.width > 0 && box.height > 0 && (el.checkVisibility?.({ visibilityProperty: true }) ?? true);
};
const status = performance.getEntriesByType("navigation")[0]?.responseStatus ?? 0;
let text = null;
const holds = (marker) => {
  if (marker.startsWith("text:")) {
    text ??= (document.body?.innerText ?? "").toLowerCase();
    return text.includes(marker.slice(5).toLowerCase());
  }
  if (marker.startsWith("url:")) return location.href.split(/[?#]/)[0].includes(marker.slice(4));
  if (marker.startsWith("status:")) return status === Number(marker.slice(7));
  return [...document.querySelectorAll(marker)].some(visible);
};
const first = (markers) => markers.find(holds) ?? "";

// The button that refuses, in whatever asks a question: known by its name or its words, in any language of `refusing`.
const ASKS = "dialog, form[action*='consent' i], [role='dialog'], [role='alertdialog'], [aria-modal='true']," +
  "[id*='consent' i], [class*='consent' i], [id*='cookie' i], [class*='cookie' i], [id*='gdpr' i], [class*='gdpr' i]";
const BUTTONS = "button, input[type='submit'], input[type='button'], [role='button']";
const LONGEST = 60;
const called = (button) => {
  const words = (button.innerText ?? "").trim();
  const names = ["name", "value", "id", "class", "aria-label", "title", "formaction"].map((name) => button.getAttribute(name) ?? "");
  return [...names, words].filter((one) => one.length <= LONGEST).map((one) => one.toLowerCase());
};
// What lies over the page, whatever it is called.
const over = () => [0.5, 0.85, 0.97].map((part) => {
  let el = document.elementFromPoint(innerWidth / 2, innerHeight * part);
  while (el && getComputedStyle(el).position !== "fixed") el = el.parentElement;
  return el;
}).filter(Boolean);
const markRefusal = (everywhere) => {
  const name = o.refusal.slice(1, -1);
  for (const old of document.querySelectorAll(o.refusal)) old.removeAttribute(name);
  const refusing = new RegExp(o.refusing);
  const asking = [...document.querySelectorAll(ASKS), ...over()].filter(visible);
  const buttons = everywhere
    ? [...document.querySelectorAll(`${BUTTONS}, a[href]`)]
    : asking.flatMap((one) => [...one.querySelectorAll(BUTTONS)]);
  const found = buttons.find((one) => visible(one) && called(one).some((word) => refusing.test(word)));
  found?.setAttribute(name, "");
};

// The button that brings more: below the results, known by its words in any language, or as the only one there is.
const large = (img) => {
  const box = img.getBoundingClientRect();
  return box.width >= 60 && box.height >= 60;
};
const inResult = (el) => {
  for (let up = el.parentElement; up && up !== document.body; up = up.parentElement) {
    const pictures = [...up.querySelectorAll("img")].filter(large).length;
    if (pictures) return pictures === 1;
  }
  return false;
};
const fixed = (el) => {
  while (el && getComputedStyle(el).position !== "fixed") el = el.parentElement;
  return Boolean(el);
};
const markMore = () => {
  const name = o.further.slice(1, -1);
  for (const old of document.querySelectorAll(o.further)) old.removeAttribute(name);
  const last = [...document.images].filter((img) => large(img) && visible(img)).at(-1);
  if (!last) return;
  const words = new RegExp(o.moreWords);
  const here = location.href.split("#")[0];
  const onPage = (el) => el.tagName !== "A" || !el.href || el.href.split("#")[0] === here || el.href.startsWith("javascript:");
  const below = [...document.querySelectorAll(`${BUTTONS}, a`)].filter((one) =>
    last.compareDocumentPosition(one) & Node.DOCUMENT_POSITION_FOLLOWING &&
    visible(one) && onPage(one) && !one.closest(`${ASKS}, footer, nav`) && !fixed(one) && !inResult(one));
  const worded = below.find((one) => called(one).some((word) => words.test(word)));
  const found = worded ?? (below.length === 1 ? below[0] : null);
  found?.setAttribute(name, "");
};
const wall = first(o.wall);
if (o.consent.includes(o.refusal)) markRefusal(Boolean(wall));
const more = () => {
  const declared = first(o.more.filter((one) => one !== o.further));
  if (declared || !o.more.includes(o.further)) return declared;
  markMore();
  return first([o.further]);
};
return {
  address: location.href,
  status,
  empty: !document.body || document.body.childElementCount === 0,
  blocked: first(o.blocked),
  wall,
  consent: first(o.consent),
  none: first(o.none),
  end: first(o.end),
  more: more(),
  tiles: o.tile.some((selector) => document.querySelector(selector)),
  complete: document.readyState === "complete",
  busy: first(["[role='progressbar']", "[aria-busy='true']", "[class*='spinner' i]", "[class*='loading' i]:not(img):not(body):not(html)"]),
};
