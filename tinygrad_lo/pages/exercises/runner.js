// One Python in a worker of its own: loaded once, ended by force where a program does not end.
export class Runner {
  // `home` is where the worker and the files beside it lie.
  constructor(config, { progress, said, ended }, home = location.href) {
    Object.assign(this, { config, progress, said, ended, home, ready: false, started: false, busy: false });
  }

  start() {
    if (this.started) return;
    this.started = true;
    this.worker = new Worker(new URL(`worker.js?${this.config.version}`, this.home), { type: "module" });
    const worker = this.worker;
    worker.addEventListener("message", ({ data }) => { if (worker === this.worker) this.heard(data); });
    worker.addEventListener("error", event => {
      event.preventDefault();
      if (worker === this.worker) this.heard({ failed: event.message || "the worker could not be started" });
    });
    const assets = this.config.assets.filter(asset => asset.use !== "editor")
      .map(asset => ({ ...asset, url: new URL(asset.url, this.home).href }));
    this.worker.postMessage({ assets, numpy: this.config.numpy });
    this.progress({ part: 0, state: "Loading Python" });
  }

  run(name, text) {
    this.busy = true;
    this.task = { name, text };
    this.start();
    if (this.ready) this.worker.postMessage(this.task);
  }

  // The browser has the files now, so the next Python is there sooner.
  stop() {
    this.end();
    this.start();
  }

  end() {
    this.worker.terminate();
    this.worker = null;
    this.ready = this.started = this.busy = false;
  }

  heard({ part, ready, said, ended, died, failed }) {
    if (part !== undefined) this.progress({ part, state: part < 1 ? `Loading Python, ${Math.floor(100 * part)} %` : "Starting Python" });
    if (said !== undefined) this.said(said);
    if (ready) {
      this.ready = true;
      this.progress({ part: null, state: "Python is ready" });
      if (this.busy) this.worker.postMessage(this.task);
    }
    if (ended) {
      this.busy = false;
      this.ended(ended);
    }
    if (died) {
      this.stop();
      this.ended({ passed: false, failed: `This program has ended Python itself (${died}). Another one is being started.` });
    }
    if (failed) {
      this.end();
      this.progress({ part: null, state: failed, failed: true });
    }
  }
}
