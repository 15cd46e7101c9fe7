"use strict";
/* The evidence over the image, in colours whose steps look equal; it fades where there is none. */
const usstatsMap = (() => {
  const ground = 96;

  function palette(digits) {
    return Array.from({ length: digits.length / 6 }, (_, i) => (
      [0, 2, 4].map((at) => parseInt(digits.slice(6 * i + at, 6 * i + at + 2), 16))
    ));
  }
  function levelsOf(map) {
    return Uint8Array.from(atob(map.levels), (letter) => letter.charCodeAt(0));
  }
  /* A layer of colours, the more opaque the stronger the evidence. */
  function layer(levels, width, height, colours, opacity) {
    const canvas = document.createElement("canvas");
    canvas.width = width;
    canvas.height = height;
    const context = canvas.getContext("2d");
    const image = context.createImageData(width, height);
    levels.forEach((level, i) => {
      image.data.set([...colours[level], Math.round(opacity * level)], 4 * i);
    });
    context.putImageData(image, 0, 0);
    return canvas;
  }

  /* The part of the picture that was seen, and the map over it. */
  function draw(canvas, entry, colours, opacity) {
    const [left, top, right, bottom] = entry.reading.seen;
    const scale = entry.bitmap.width / entry.size.width;
    const ratio = (bottom - top) / (right - left);
    const side = 900;
    canvas.width = Math.round(ratio > 1 ? side / ratio : side);
    canvas.height = Math.round(ratio > 1 ? side : side * ratio);
    const context = canvas.getContext("2d");
    context.imageSmoothingQuality = "high";
    context.drawImage(entry.bitmap, left * scale, top * scale, (right - left) * scale,
      (bottom - top) * scale, 0, 0, canvas.width, canvas.height);
    const { map } = entry.reading;
    if (map === null) { return; }
    const over = layer(levelsOf(map), map.width, map.height, colours, opacity);
    context.drawImage(over, 0, 0, canvas.width, canvas.height);
  }
  /* The colours as they look over a middle gray. */
  function drawBar(canvas, colours, opacity) {
    const context = canvas.getContext("2d");
    context.fillStyle = `rgb(${ground} ${ground} ${ground})`;
    context.fillRect(0, 0, canvas.width, canvas.height);
    const over = layer(Uint8Array.from({ length: 256 }, (_, i) => i), 256, 1, colours, opacity);
    context.drawImage(over, 0, 0, canvas.width, canvas.height);
  }

  return { palette, draw, drawBar };
})();
