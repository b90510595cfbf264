'use strict';
// A client of the open JSON protocol, in the few lines that it takes.

const { WebSocket } = require('ws');
const { Inbox } = require('./wait');

let ids = Date.now();

class Json {
  /** Says hello, and waits for the welcome. `positions`: what an earlier connection had. */
  static async connect(app, user, token, { url, device = `json-${++ids}`, positions = {} } = {}) {
    const json = Object.assign(new Json(), { app, user, device, positions, frames: new Inbox(`${user} (json)`) });
    json.socket = new WebSocket(url || app.server.socket.replace('/websocket', '/ws/v1'));
    json.closed = new Promise((resolve) => json.socket.once('close', resolve));
    json.socket.on('error', () => {});
    json.socket.on('message', (data) => {
      const frame = JSON.parse(data);
      if (frame.position && frame.type !== 'history') {
        positions[frame.conversation] = frame.position;
        json.say({ type: 'ack', conversation: frame.conversation, position: frame.position });
      }
      json.frames.push(frame);
    });
    json.socket.once('open', () => json.say({ type: 'hello', app: app.key, user, token, device: { id: device }, positions }));
    await json.hear('welcome');
    return json;
  }

  say(frame) {
    this.socket.send(JSON.stringify(frame));
  }

  hear(type, matches = () => true, ms) {
    return this.frames.take((frame) => frame.type === type && matches(frame), type, ms);
  }

  heard(type) {
    return this.frames.all((frame) => frame.type === type);
  }

  /** Says a frame with an id of its own, and gives the answer to it. */
  async ask(frame, ms) {
    const id = ++ids;
    this.say({ id, ...frame });
    return this.frames.take((answer) => answer.id === (frame.id ?? id), `an answer to ${frame.type}`, ms);
  }

  async text(to, msg) {
    const answer = await this.ask({ type: 'send', to, body: { type: 'txt', msg } });
    if (answer.type !== 'sent') throw new Error(JSON.stringify(answer));
    return answer;
  }

  close() {
    this.socket.terminate();
  }
}

module.exports = { Json };
