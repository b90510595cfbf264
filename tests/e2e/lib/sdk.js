'use strict';
// The unmodified easemob-websdk in Node: the globals that a browser would give it, and a client that collects events.

const { WebSocket } = require('ws');
const { Inbox } = require('./wait');

/** What the SDK uses of XMLHttpRequest, over fetch. */
class Request {
  constructor() {
    Object.assign(this, { readyState: 0, status: 0, responseText: '', response: null, timeout: 0, responseType: '' });
    this.requestHeaders = {};
    this.listeners = {};
    this.upload = { addEventListener() {} };
  }

  addEventListener(type, listener) {
    (this.listeners[type] ||= []).push(listener);
  }

  emit(type) {
    const event = { type, target: this };
    this[`on${type}`]?.(event);
    for (const listener of this.listeners[type] || []) listener.call(this, event);
  }

  open(method, url) {
    Object.assign(this, { method, url, readyState: 1 });
  }

  setRequestHeader(name, value) {
    this.requestHeaders[name] = value;
  }

  overrideMimeType() {}

  abort() {
    this.controller?.abort();
    this.emit('abort');
  }

  async send(body) {
    this.controller = new AbortController();
    let late = false;
    const timer = this.timeout && setTimeout(() => {
      late = true;
      this.controller.abort();
    }, this.timeout);
    const headers = { ...this.requestHeaders };
    if (body instanceof FormData) {
      for (const name of Object.keys(headers)) if (/^content-type$/i.test(name)) delete headers[name];
    }
    try {
      const answer = await fetch(this.url, {
        method: this.method,
        headers,
        signal: this.controller.signal,
        body: /^(GET|HEAD)$/i.test(this.method) ? undefined : body ?? undefined,
      });
      this.status = answer.status;
      this.responseURL = answer.url;
      if (this.responseType === 'blob') this.response = await answer.blob();
      else this.response = this.responseText = await answer.text();
      this.finish('load');
    } catch {
      this.status = 0;
      this.finish(late ? 'timeout' : 'error');
    } finally {
      clearTimeout(timer);
    }
  }

  /** Outside of `send`, so that what a listener throws is not taken for a failed request. */
  finish(event) {
    this.readyState = 4;
    queueMicrotask(() => {
      this.emit('readystatechange');
      this.emit(event);
    });
  }
}

/** What the SDK uses of FileReader, to unpack combined messages. */
class Reader {
  addEventListener(type, listener) {
    this[`on${type}`] = listener;
  }

  readAsArrayBuffer(blob) {
    blob.arrayBuffer().then((buffer) => {
      this.result = buffer;
      const event = { type: 'load', target: this };
      this.onload?.(event);
      this.onloadend?.(event);
    });
  }
}

/**
 * As in a browser, an error that nobody listens to is no exception: the SDK drops its listeners when it dials again. And a
 * socket that is being closed gives no more messages; otherwise the SDK would take what comes on its old socket, such as
 * "logged in elsewhere" (by its new socket), for its own.
 */
class BrowserSocket extends WebSocket {
  constructor(url, protocols) {
    // Browsers give up a handshake as well: Firefox after 20 s, Chrome after 4 minutes.
    super(url, protocols, { handshakeTimeout: 20_000 });
    this.on('error', () => {});
  }

  emit(event, ...args) {
    return event === 'message' && this.readyState !== WebSocket.OPEN ? false : super.emit(event, ...args);
  }
}

Object.assign(globalThis, {
  FileReader: Reader,
  self: globalThis,
  window: globalThis,
  WebSocket: BrowserSocket,
  XMLHttpRequest: Request,
  location: { protocol: 'http:' },
  addEventListener() {},
  removeEventListener() {},
});
if (!globalThis.navigator) globalThis.navigator = { userAgent: 'node' };

const sdk = require('easemob-websdk');
sdk.logger.disableAll();

const EVENTS = [
  'onConnected', 'onDisconnected', 'onReconnecting', 'onError', 'onMessage', 'onTextMessage', 'onImageMessage',
  'onAudioMessage', 'onVideoMessage', 'onFileMessage', 'onLocationMessage', 'onCmdMessage', 'onCustomMessage',
  'onCombineMessage', 'onReceivedMessage', 'onDeliveredMessage', 'onReadMessage', 'onRecallMessage',
  'onChannelMessage', 'onModifiedMessage', 'onStatisticMessage', 'onTokenWillExpire', 'onTokenExpired',
  'onOfflineMessageSyncStart', 'onOfflineMessageSyncFinish', 'onMultiDeviceEvent', 'onContactInvited', 'onContactDeleted',
  'onContactAdded', 'onContactRefuse', 'onContactAgreed', 'onPresenceStatusChange', 'onGroupEvent',
  'onChatroomEvent',
  'onChatThreadChange',
];

let devices = 0;

/** One SDK connection and the events that it raised, in order. */
class Client {
  constructor(app, username, options = {}) {
    this.app = app;
    this.username = username;
    this.inbox = new Inbox(username);
    const { url, ...rest } = options;
    this.conn = new sdk.connection({
      appKey: app.key,
      url: url || app.server.socket,
      apiUrl: app.server.rest,
      isHttpDNS: false,
      isFixedDeviceId: true,
      deviceId: `d${process.pid}x${++devices}`,
      ...rest,
    });
    const handlers = {};
    for (const event of EVENTS) handlers[event] = (data) => this.inbox.push({ event, data });
    this.conn.addEventHandler('test', handlers);
  }

  /** `credentials`: {accessToken} or {pwd}. */
  async open(credentials, user = this.username) {
    await this.conn.open({ user, ...credentials });
    this.resource = this.conn.context?.jid?.clientResource;
    return this;
  }

  /** The next event of that name that matches and was not taken yet. */
  async next(event, matches = () => true, ms) {
    const found = await this.inbox.take((seen) => seen.event === event && matches(seen.data), event, ms);
    return found.data;
  }

  /** Data of all events of that name so far. */
  seen(event, matches = () => true) {
    return this.inbox.all((item) => item.event === event && matches(item.data)).map((item) => item.data);
  }

  /** Resolves when that many such events were raised. */
  async count(event, n, ms) {
    await this.inbox.when(() => this.seen(event).length >= n, `${n} × ${event}`, ms);
    return this.seen(event);
  }

  message(type, to, fields) {
    return sdk.message.create({ chatType: 'singleChat', type, to, ...fields });
  }

  send(type, to, fields) {
    return this.conn.send(this.message(type, to, fields));
  }

  text(to, msg, fields = {}) {
    return this.send('txt', to, { msg, ...fields });
  }

  async close() {
    try {
      await this.conn.close();
    } catch {
      // It was closed already.
    }
  }
}

/** Rejections of the SDK are plain objects; gives the one that `promise` rejects with. */
async function rejection(promise) {
  let value;
  try {
    value = await promise;
  } catch (error) {
    return error;
  }
  throw new Error(`not rejected, but resolved with ${JSON.stringify(value)}`);
}

module.exports = { sdk, Client, rejection };
