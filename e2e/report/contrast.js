(() => {
  const channels = text => {
    const m = text.match(/^rgba?\(([\d.]+), ([\d.]+), ([\d.]+)(?:, ([\d.]+))?\)$/);
    return m && (m[4] === undefined || +m[4] === 1) ? m.slice(1, 4).map(Number) : null;
  };
  const luminance = rgb => {
    const [r, g, b] = rgb.map(v => v / 255).map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ratio = (a, b) => {
    const [x, y] = [luminance(a), luminance(b)].sort((p, q) => q - p);
    return (x + 0.05) / (y + 0.05);
  };
  const variable = name => {
    const hex = getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();
    return [1, 3, 5].map(i => parseInt(hex.slice(i, i + 2), 16));
  };
  const behind = el => {
    for (let e = el; e; e = e.parentElement) {
      const c = channels(getComputedStyle(e).backgroundColor);
      if (c) return c;
    }
    return [255, 255, 255];
  };
  const pale = [];
  let texts = 0;
  const check = (el, color, grounds) => {
    texts++;
    const rgb = channels(color);
    for (const ground of grounds) {
      if (!rgb || ratio(rgb, ground) < 4.5) pale.push(`${el.textContent.trim().slice(0, 40)}: ${color} on ${ground}`);
    }
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let n = walker.nextNode(); n; n = walker.nextNode()) {
    const el = n.parentElement;
    if (!n.data.trim() || !el.getClientRects().length) continue;
    const style = getComputedStyle(el);
    // A text of a plot stands on the paper, or where the target is kept.
    if (el.tagName === "text") check(el, style.fill, [behind(el), variable("region")]);
    else check(el, style.color, [behind(el)]);
  }
  return texts > 50 ? pale : [`only ${texts} texts were seen`];
})()
