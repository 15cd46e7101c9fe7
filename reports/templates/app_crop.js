"use strict";
/* The picture and the region on it: moved by mouse, finger, arrow keys or numbers. */
const usstatsCrop = (() => {
  const steps = {
    ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1],
  };
  const far = 10;
  const names = { nw: "Upper left", ne: "Upper right", sw: "Lower left", se: "Lower right" };
  const edges = ["left", "top", "right", "bottom"];
  const clamp = (x, low, high) => Math.min(Math.max(x, low), high);

  /* The box after a corner, or the whole of it, was moved; it stays inside and large enough. */
  function moved(box, corner, dx, dy, size, least) {
    const next = { ...box };
    if (corner === null) {
      const x = clamp(dx, -box.left, size.width - box.right);
      const y = clamp(dy, -box.top, size.height - box.bottom);
      return { left: box.left + x, top: box.top + y, right: box.right + x, bottom: box.bottom + y };
    }
    if (corner[1] === "w") { next.left = clamp(box.left + dx, 0, box.right - least); }
    if (corner[1] === "e") { next.right = clamp(box.right + dx, box.left + least, size.width); }
    if (corner[0] === "n") { next.top = clamp(box.top + dy, 0, box.bottom - least); }
    if (corner[0] === "s") { next.bottom = clamp(box.bottom + dy, box.top + least, size.height); }
    return next;
  }

  /* The middle of the picture, or all of it. */
  function firstBox(size, share) {
    const cut = (length) => Math.round(length * (1 - share) / 2);
    return {
      left: cut(size.width), top: cut(size.height),
      right: size.width - cut(size.width), bottom: size.height - cut(size.height),
    };
  }

  function create(parts, { least, share, changed }) {
    const { stage, canvas, overlay, frame, handles, inputs } = parts;
    let shown = null;

    /* ---- where things stand ---- */
    function place() {
      const room = { width: stage.clientWidth, height: stage.clientHeight };
      const zoom = Math.min(room.width / shown.size.width, room.height / shown.size.height);
      const [width, height] = [shown.size.width * zoom, shown.size.height * zoom];
      return { zoom, width, height, left: (room.width - width) / 2, top: (room.height - height) / 2 };
    }
    function put(element, left, top, width, height) {
      Object.assign(element.style, {
        left: `${left}px`, top: `${top}px`, width: `${width}px`, height: `${height}px` });
    }
    function drawPicture() {
      const at = place();
      const dots = Math.min(window.devicePixelRatio || 1, 2);
      put(canvas, at.left, at.top, at.width, at.height);
      canvas.width = Math.max(Math.round(at.width * dots), 1);
      canvas.height = Math.max(Math.round(at.height * dots), 1);
      const context = canvas.getContext("2d");
      context.imageSmoothingQuality = "high";
      context.drawImage(shown.bitmap, 0, 0, canvas.width, canvas.height);
      put(overlay, at.left, at.top, at.width, at.height);
    }
    function drawBox() {
      const { zoom } = place();
      const { left, top, right, bottom } = shown.box;
      put(frame, left * zoom, top * zoom, (right - left) * zoom, (bottom - top) * zoom);
      handles.forEach((handle) => {
        const corner = handle.dataset.corner;
        const x = (corner[1] === "w" ? left : right) * zoom;
        const y = (corner[0] === "n" ? top : bottom) * zoom;
        Object.assign(handle.style, { left: `${x}px`, top: `${y}px` });
        const at = `${corner[1] === "w" ? left : right}, ${corner[0] === "n" ? top : bottom}`;
        handle.setAttribute("aria-label", `${names[corner]} corner of the region, at ${at} pixels. Arrow keys move it.`);
      });
      frame.setAttribute("aria-label", `Region of ${right - left} by ${bottom - top} pixels, from ${left}, ${top}. Arrow keys move it.`);
      edges.forEach((edge) => {
        if (document.activeElement !== inputs[edge]) { inputs[edge].value = shown.box[edge]; }
      });
    }
    function set(box) {
      shown.box = box;
      drawBox();
      changed(box);
    }

    /* ---- how it is moved ---- */
    function follow(target, corner) {
      let held = null;
      target.addEventListener("pointerdown", (event) => {
        if (event.button !== 0 || shown === null) { return; }
        held = { x: event.clientX, y: event.clientY, box: shown.box, id: event.pointerId };
        target.setPointerCapture(event.pointerId);
        target.focus({ preventScroll: true });
        event.preventDefault();
      });
      target.addEventListener("pointermove", (event) => {
        if (held === null || event.pointerId !== held.id) { return; }
        const { zoom } = place();
        const [dx, dy] = [event.clientX - held.x, event.clientY - held.y].map((d) => Math.round(d / zoom));
        set(moved(held.box, corner, dx, dy, shown.size, least));
      });
      ["pointerup", "pointercancel"].forEach((kind) => target.addEventListener(kind, () => { held = null; }));
      target.addEventListener("keydown", (event) => {
        const step = steps[event.key];
        if (!step || shown === null || event.ctrlKey || event.metaKey || event.altKey) { return; }
        event.preventDefault();
        const by = event.shiftKey ? far : 1;
        set(moved(shown.box, corner, by * step[0], by * step[1], shown.size, least));
      });
    }
    function typed(edge) {
      const text = inputs[edge].value.trim();
      const value = /^\d{1,6}$/.test(text) ? Number(text) : NaN;
      const box = { ...shown.box, [edge]: value };
      const good = box.left >= 0 && box.top >= 0 && box.right <= shown.size.width
        && box.bottom <= shown.size.height && box.right - box.left >= least && box.bottom - box.top >= least;
      inputs[edge].setAttribute("aria-invalid", String(!good));
      if (good) { set(box); }
    }

    follow(frame, null);
    handles.forEach((handle) => follow(handle, handle.dataset.corner));
    edges.forEach((edge) => {
      inputs[edge].addEventListener("input", () => typed(edge));
      inputs[edge].addEventListener("blur", () => {
        inputs[edge].setAttribute("aria-invalid", "false");
        if (shown !== null) { inputs[edge].value = shown.box[edge]; }
      });
    });
    const redraw = () => {
      if (shown === null) { return; }
      drawPicture();
      drawBox();
    };
    new ResizeObserver(redraw).observe(stage);

    function show(bitmap, size, box) {
      shown = { bitmap, size, box: box || firstBox(size, share) };
      overlay.hidden = false;
      redraw();
      return shown.box;
    }
    function clear() {
      shown = null;
      overlay.hidden = true;
      canvas.width = 0;
    }
    return { show, clear };
  }

  return { create, moved, firstBox };
})();
