// What the page itself sees, by one clock for every variant: when a key went down, when new pixels
// were on the screen, what came from the kernel, and whether anything moved that should not.
(() => {
  const clock = (window.clock = { keys: [], paints: [], updates: [], jumps: [], bytes: 0 });

  addEventListener("keydown", (event) => clock.keys.push(event.timeStamp), true);

  window.WebSocket = class extends window.WebSocket {
    constructor(...args) {
      super(...args);
      this.addEventListener("message", ({ data }) => (clock.bytes += data.byteLength ?? data.length));
    }
  };

  // New content has come and is decoded: it is on the screen when the next frame has been painted.
  const frame = new MessageChannel();
  let awaited = false;
  const ready = () => {
    if (!awaited) requestAnimationFrame(() => frame.port2.postMessage(null));
    awaited = true;
  };
  frame.port1.onmessage = () => {
    const time = performance.now(); // the message comes once this frame's painting is done
    awaited = false;
    const shown = clock.token(); // only now, because a canvas must be read to know
    if (shown === null || shown === clock.shown) return;
    clock.shown = shown;
    clock.paints.push(time);
    clock.onpaint?.();
  };
  const decoded = (image) => image.decode().then(ready, () => {}); // fails if replaced meanwhile

  const drawImage = CanvasRenderingContext2D.prototype.drawImage;
  CanvasRenderingContext2D.prototype.drawImage = function (...args) {
    drawImage.apply(this, args);
    if (this.canvas === clock.element) ready();
  };
  const hash = (numbers) => numbers.reduce((sum, x) => (Math.imul(sum, 31) + x) | 0, 7);
  const pixels = (canvas) => {
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    return hash(new Uint32Array(data.buffer));
  };

  // Watch the element: an "image", the "output" area that images are put in, a "canvas", a "text".
  clock.watch = (kind, selector) => {
    const element = (clock.element = document.querySelector(selector));
    const inside = () => (kind === "output" ? element.querySelector("img") : element);
    const on = (what, react) => new MutationObserver(react).observe(element, what);
    if (kind === "image") on({ attributeFilter: ["src"] }, () => decoded(element));
    if (kind === "output")
      on({ childList: true, subtree: true }, () => inside() && decoded(inside()));
    if (kind === "text") on({ childList: true, characterData: true, subtree: true }, ready);
    const tokens = { text: () => element.textContent, canvas: () => pixels(element) };
    clock.token = tokens[kind] ?? (() => inside()?.src ?? null);
    clock.shown = clock.token();
    clock.box = () => (inside() ?? element).getBoundingClientRect();
    const session = window.jupyterapp.shell.currentWidget.sessionContext;
    session.iopubMessage.connect((_, { header, parent_header, content }) => {
      const busy = header.msg_type === "status" && content.execution_state === "busy";
      if (busy && parent_header.msg_type === "comm_msg") clock.updates.push(performance.now());
    });
  };

  // What is shown now, to be compared with what the same slider value shows in peace.
  clock.content = async () => {
    const token = clock.token();
    if (!token.startsWith?.("blob:")) return token;
    return hash(new Uint8Array(await (await fetch(token)).arrayBuffer()));
  };

  // Milliseconds from the last key to new pixels, once there are more than `before` paints.
  clock.next = (before) =>
    new Promise((resolve) => {
      clock.onpaint = () => {
        if (clock.paints.length <= before) return;
        clock.onpaint = null;
        resolve(clock.paints.at(-1) - clock.keys.at(-1));
      };
      clock.onpaint();
    });

  // Press the slider's keys at a rate by the clock, late ones at once, and watch where things are.
  clock.storm = (handle, keys, rate) => {
    const positions = () => {
      const { left, top, width, height } = clock.box();
      const below = document.querySelector(".jp-MarkdownCell").getBoundingClientRect().top;
      return [left, top, width, height, below].map(Math.round).join(" ");
    };
    Object.assign(clock, { keys: [], paints: [], updates: [], jumps: [], watching: true });
    let [pressed, before, start] = [0, positions(), performance.now()];
    const look = () => {
      const now = positions();
      if (now !== before) clock.jumps.push(`${before} → ${now}`);
      before = now;
      if (clock.watching) requestAnimationFrame(look);
    };
    look();
    return new Promise((resolve) => {
      const press = () => {
        while (pressed < keys.length && performance.now() - start >= (1000 * pressed) / rate) {
          const key = keys[pressed++];
          handle.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
        }
        pressed < keys.length ? setTimeout(press, 1) : resolve();
      };
      press();
    });
  };

  // Run the first cells of the notebook, as Shift + Enter does, until the picture is painted:
  // milliseconds until the imports are done, and until then.
  clock.firstPicture = async (imports, cells, selector) => {
    const { commands, shell } = window.jupyterapp;
    shell.currentWidget.content.activeCellIndex = 0;
    const run = () => commands.execute("notebook:run-cell-and-select-next");
    const start = performance.now();
    for (let cell = 0; cell < imports; cell++) await run();
    const imported = performance.now() - start;
    const picture = new Promise((resolve) => {
      const look = () => document.querySelector(selector)?.decode().then(resolve, () => {});
      const changes = { childList: true, subtree: true, attributeFilter: ["src"] };
      new MutationObserver(look).observe(document.body, changes);
    });
    for (let cell = imports; cell < cells; cell++) run();
    await picture;
    Object.assign(clock, { shown: null, token: () => "picture", paints: [] });
    ready();
    await new Promise((resolve) => (clock.onpaint = resolve));
    return [imported, clock.paints[0] - start];
  };
})();
