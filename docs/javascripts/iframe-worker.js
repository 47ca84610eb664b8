/* Search runs in a worker, and a browser starts none for a page that it opened from a file. There,
   the same script runs in a hidden frame instead, and messages are handed over as events. */

if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(url) {
      super();
      this.scope = new Promise((started) => {
        const frame = document.createElement("iframe");
        frame.hidden = true;
        frame.addEventListener("load", () => this.run(url, frame.contentWindow, started), { once: true });
        document.body.append(frame);
      });
    }

    run(url, scope, started) {
      scope.postMessage = (data) => this.dispatchEvent(new MessageEvent("message", { data }));
      const script = scope.document.createElement("script");
      script.addEventListener("load", () => started(scope));
      script.src = url;
      scope.document.body.append(script);
    }

    postMessage(data) {
      this.scope.then((scope) => scope.dispatchEvent(new MessageEvent("message", { data })));
    }
  };
}
