// Fingers: a tap, a long press, and swipes to the side that follow the finger; what scrolls stays the browser's.

const STILL = 10;
const LONG = 450;

// `find(event)` returns what the finger is on, or nothing; `tap`, `hold` and `swipe(one, side)` are told of it, with the
// side -1 for left and 1 for right. `reach(one)` is how far a finger has to go for a swipe, in pixels.
export function touched(root, { find, tap, hold, swipe, reach }) {
  let finger = null;

  root.addEventListener("pointerdown", (event) => {
    letGo();
    const one = event.pointerType !== "mouse" && event.isPrimary && find(event);
    if (!one) return;
    finger = { one, id: event.pointerId, x: event.clientX, y: event.clientY, across: 0, moved: false };
    finger.timer = setTimeout(() => {
      if (!finger || finger.moved) return;
      finger.held = true;
      navigator.vibrate?.(12);
      hold(one);
    }, LONG);
  });

  root.addEventListener("pointermove", (event) => {
    if (!finger || event.pointerId !== finger.id || finger.held) return;
    const across = event.clientX - finger.x;
    const down = event.clientY - finger.y;
    if (!finger.moved && Math.max(Math.abs(across), Math.abs(down)) < STILL) return;
    finger.moved = true;
    finger.side ??= Math.abs(across) > Math.abs(down);
    if (!finger.side) return;
    finger.across = across;
    const far = Math.abs(across) >= reach(finger.one);
    finger.one.style.setProperty("--across", `${across}px`);
    finger.one.dataset.swiped = `${across > 0 ? "keep" : "drop"}${far ? " far" : ""}`;
  });

  root.addEventListener("pointerup", (event) => {
    if (!finger || event.pointerId !== finger.id) return;
    const { one, moved, held, side, across } = finger;
    letGo();
    if (held) return;
    if (!moved) tap(one);
    else if (side && Math.abs(across) >= reach(one)) swipe(one, Math.sign(across));
  });

  // The browser takes a finger that scrolls for itself.
  root.addEventListener("pointercancel", letGo);
  root.addEventListener("contextmenu", (event) => { if (event.pointerType === "touch") event.preventDefault(); });

  function letGo() {
    if (!finger) return;
    clearTimeout(finger.timer);
    finger.one.style.removeProperty("--across");
    delete finger.one.dataset.swiped;
    finger = null;
  }
}
