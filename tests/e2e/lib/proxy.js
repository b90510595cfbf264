'use strict';
// A TCP forwarder that can break: cut all lines, cut after so many bytes downwards, or go silent downwards.

const net = require('node:net');

class Proxy {
  /** `target`: host:port. */
  static async to(target) {
    const proxy = new Proxy();
    proxy.lines = new Set();
    proxy.connections = 0;
    proxy.cutAfter = [];
    // May be changed: later connections go there, as with a load balancer.
    proxy.target = target;
    proxy.server = net.createServer((client) => {
      const [host, port] = proxy.target.split(':');
      proxy.join(client, net.connect(Number(port), host));
    });
    await new Promise((resolve) => proxy.server.listen(0, '127.0.0.1', resolve));
    return proxy;
  }

  get url() {
    return `ws://127.0.0.1:${this.server.address().port}/websocket`;
  }

  join(client, server) {
    this.connections += 1;
    const line = { client, server, down: 0, limit: this.cutAfter.shift() ?? Infinity };
    this.lines.add(line);
    client.on('data', (chunk) => server.write(chunk));
    server.on('data', (chunk) => {
      if (this.mute) return;
      line.down += chunk.length;
      // The part up to the limit gets through, so that a cut may fall inside a frame.
      if (line.down > line.limit) {
        client.write(chunk.subarray(0, chunk.length - (line.down - line.limit)), () => this.drop(line));
      } else {
        client.write(chunk);
      }
    });
    for (const socket of [client, server]) {
      socket.on('error', () => this.drop(line));
      socket.on('close', () => this.drop(line));
    }
  }

  drop(line) {
    this.lines.delete(line);
    line.client.destroy();
    line.server.destroy();
  }

  cut() {
    for (const line of [...this.lines]) this.drop(line);
  }

  close() {
    this.cut();
    this.server.close();
  }
}

module.exports = { Proxy };
