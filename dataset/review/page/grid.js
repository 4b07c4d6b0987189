// Shows a window on a long list as a grid: only the tiles near the screen exist.

const GAP = 10;
const CALM = 90;

export class Grid {
  // `fill(tile, position, image)` paints a tile; it may leave out the image while the list rushes by.
  constructor(root, sheet, { make, fill }) {
    this.root = root;
    this.sheet = sheet;
    this.make = make;
    this.fill = fill;
    this.count = 0;
    this.wanted = 148;
    this.words = 22;
    this.tiles = new Map();
    this.spare = [];
    this.lastTop = 0;
    this.rushing = false;
    root.addEventListener("scroll", () => this.scrolled(), { passive: true });
    new ResizeObserver(() => this.layout()).observe(root);
  }

  show(count) {
    this.count = count;
    for (const position of [...this.tiles.keys()]) this.release(position);
    this.layout();
  }

  resize(side) {
    const first = this.firstSeen();
    this.wanted = side;
    this.layout();
    this.root.scrollTop = Math.floor(first / this.columns) * this.row;
    this.render();
  }

  layout() {
    const style = getComputedStyle(this.root);
    const width = this.root.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight);
    this.columns = Math.max(2, Math.floor((width + GAP) / (this.wanted + GAP)));
    this.side = Math.floor((width - GAP * (this.columns - 1)) / this.columns);
    this.row = this.side + this.words + GAP;
    this.sheet.style.height = `${Math.ceil(this.count / this.columns) * this.row}px`;
    for (const [position, tile] of this.tiles) this.place(tile, position);
    this.render();
  }

  scrolled() {
    const now = performance.now();
    const top = this.root.scrollTop;
    const speed = Math.abs(top - this.lastTop) / Math.max(1, now - (this.lastTime ?? now));
    this.lastTop = top;
    this.lastTime = now;
    // Pictures that nobody sees are not asked for: they would only keep the seen ones waiting.
    this.rushing = speed > this.root.clientHeight / 120;
    clearTimeout(this.calm);
    if (this.rushing) this.calm = setTimeout(() => { this.rushing = false; this.repaint(); }, CALM);
    this.frame ??= requestAnimationFrame(() => { this.frame = null; this.render(); });
  }

  render() {
    if (!this.row) return;
    const height = this.root.clientHeight;
    const top = this.root.scrollTop;
    const first = Math.max(0, Math.floor((top - height * .6) / this.row)) * this.columns;
    const last = Math.min(this.count, Math.ceil((top + height * 1.8) / this.row) * this.columns);
    for (const position of [...this.tiles.keys()]) if (position < first || position >= last) this.release(position);
    for (let position = first; position < last; position++) if (!this.tiles.has(position)) this.hold(position);
  }

  hold(position) {
    const tile = this.spare.pop() ?? this.sheet.appendChild(this.make());
    tile.hidden = false;
    this.tiles.set(position, tile);
    this.place(tile, position);
    this.fill(tile, position, !this.rushing);
  }

  release(position) {
    const tile = this.tiles.get(position);
    this.tiles.delete(position);
    tile.hidden = true;
    tile.removeAttribute("id");
    tile.querySelector("img").removeAttribute("src");
    this.spare.push(tile);
  }

  place(tile, position) {
    const x = (position % this.columns) * (this.side + GAP);
    const y = Math.floor(position / this.columns) * this.row;
    tile.style.transform = `translate(${x}px, ${y}px)`;
    tile.style.width = `${this.side}px`;
    tile.firstElementChild.style.height = `${this.side}px`;
  }

  repaint() {
    for (const [position, tile] of this.tiles) this.fill(tile, position, !this.rushing);
  }

  paint(position) {
    const tile = this.tiles.get(position);
    if (tile) this.fill(tile, position, !this.rushing);
  }

  reveal(position) {
    const top = Math.floor(position / this.columns) * this.row;
    const { scrollTop, clientHeight } = this.root;
    if (top < scrollTop) this.root.scrollTop = top;
    else if (top + this.row > scrollTop + clientHeight - GAP) this.root.scrollTop = top + this.row - clientHeight + 2 * GAP;
    this.render();
  }

  get rows() {
    return Math.max(1, Math.floor(this.root.clientHeight / this.row));
  }

  firstSeen() {
    return Math.min(this.count, Math.ceil((this.root.scrollTop - this.row / 2) / this.row) * this.columns || 0);
  }

  // The positions on the screen, from the first row of which most is seen to the last.
  seen() {
    const first = Math.max(0, this.firstSeen());
    const bottom = this.root.scrollTop + this.root.clientHeight;
    const last = Math.min(this.count, Math.max(first / this.columns + 1, Math.floor((bottom + this.row / 3) / this.row)) * this.columns);
    return [first, last];
  }

  scrollTo(position) {
    this.root.scrollTop = Math.floor(position / this.columns) * this.row;
    this.render();
  }
}
