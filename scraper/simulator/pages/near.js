// Calls show(element) once for each element that comes within the margin of the window.
function whenNear(margin, show) {
  var watcher = new IntersectionObserver(function (entries) {
    entries.forEach(function (entry) {
      if (entry.isIntersecting) { watcher.unobserve(entry.target); show(entry.target); }
    });
  }, { rootMargin: margin });
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
