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
return {
  address: location.href,
  status,
  empty: !document.body || document.body.childElementCount === 0,
  blocked: first(o.blocked),
  wall: first(o.wall),
  consent: first(o.consent),
  none: first(o.none),
  end: first(o.end),
  more: first(o.more),
  tiles: o.tile.some((selector) => document.querySelector(selector)),
  complete: document.readyState === "complete",
  busy: first(["[role='progressbar']", "[aria-busy='true']", "[class*='spinner' i]", "[class*='loading' i]:not(img):not(body):not(html)"]),
};
