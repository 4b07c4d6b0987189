// Calls show(element) once for each element that comes within the margin of the window.
function whenNear(margin, show) {
  var watcher = new IntersectionObserver(function (entries) {
    entries.forEach(function (entry) {
      if (entry.isIntersecting) { watcher.unobserve(entry.target); show(entry.target); }
    });
  }, { rootMargin: margin, scrollMargin: margin });
  return watcher;
}
// Empties a tile down to a placeholder; the function it returns to `fill` puts the contents back.
function hollow(tile, placeholder) {
  var parts = document.createDocumentFragment();
  while (tile.firstChild) { parts.appendChild(tile.firstChild); }
  tile.innerHTML = placeholder;
  tile.fill = function () {
    tile.replaceChildren(parts);
    tile.querySelectorAll("img[data-src]").forEach(function (image) { image.src = image.dataset.src; });
  };
}
// Fetches a batch; what fails is asked for again when the page is scrolled.
function ask(address, then) {
  fetch(address).then(function (answer) {
    if (!answer.ok) { throw new Error(answer.status); }
    return answer.text();
  }).then(then).catch(function () {
    addEventListener("scroll", function () { ask(address, then); }, { once: true, capture: true });
  });
}
// Moves every other batch above the one before it, as if that had been late.
var batches = [];
function arrived(first) {
  batches.push(first);
  return batches.length % 2 ? null : batches[batches.length - 2];
}
// Takes a tile out of the page while it is far away; a gap of its size stays.
function recycle(tile) {
  var gap = document.createElement(tile.tagName);
  gap.style.cssText = "visibility:hidden;width:" + tile.offsetWidth + "px;height:" + tile.offsetHeight + "px";
  var options = { rootMargin: "1500px", scrollMargin: "1500px" };
  var out = new IntersectionObserver(function (entries) {
    if (!entries[entries.length - 1].isIntersecting && tile.isConnected) { tile.replaceWith(gap); out.unobserve(tile); back.observe(gap); }
  }, options);
  var back = new IntersectionObserver(function (entries) {
    if (entries[entries.length - 1].isIntersecting && gap.isConnected) { gap.replaceWith(tile); back.unobserve(gap); out.observe(tile); }
  }, options);
  out.observe(tile);
}
