'use strict';
// A fresh app (tenant) for each test, and calls on its REST surface.

const crypto = require('node:crypto');
const { theServer, releaseServer } = require('./server');
const { Client } = require('./sdk');
const { Json } = require('./json');
const { Proxy } = require('./proxy');
const { Raw } = require('./raw');
const { until } = require('./wait');

const DEFAULTS = { registration: 'open', rate_factor: 0 };

class App {
  static async create(settings = {}, server) {
    server ||= await theServer();
    const name = `t${crypto.randomBytes(6).toString('hex')}`;
    const made = await server.adminCall('POST', '/apps', {
      app_key: `e2e#${name}`,
      settings: { ...DEFAULTS, ...settings },
    });
    const app = new App();
    Object.assign(app, { server, key: made.app_key, org: 'e2e', name });
    Object.assign(app, { clientId: made.client_id, clientSecret: made.client_secret, settings: made.settings });
    app.closers = [];
    return app;
  }

  /** Changes some settings; the others stay. */
  async set(changes) {
    this.settings = { ...this.settings, ...changes };
    await this.server.adminCall('PUT', `/apps/${this.org}/${this.name}/settings`, this.settings);
  }

  get base() {
    return `${this.server.rest}/${this.org}/${this.name}`;
  }

  /** One REST call. `token`: a bearer, `null` for none, absent for the app's own. Gives {status, body, headers}. */
  async call(method, where, { body, token, headers = {}, raw } = {}) {
    const bearer = token === undefined ? await this.token() : token;
    const answer = await fetch(`${this.base}${where}`, {
      method,
      headers: {
        ...(bearer ? { authorization: `Bearer ${bearer}` } : {}),
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...headers,
      },
      body: raw ?? (body === undefined ? undefined : JSON.stringify(body)),
    });
    const text = await answer.text();
    let parsed;
    try {
      parsed = JSON.parse(text);
    } catch {
      parsed = text;
    }
    return { status: answer.status, body: parsed, headers: answer.headers };
  }

  /** As `call`, but anything else than 200 fails the test. */
  async ok(method, where, options) {
    const answer = await this.call(method, where, options);
    if (answer.status !== 200) {
      throw new Error(`${method} ${where}: ${answer.status} ${JSON.stringify(answer.body)}`);
    }
    return answer.body;
  }

  async token() {
    this.appToken ||= this.ok('POST', '/token', {
      token: null,
      body: { grant_type: 'client_credentials', client_id: this.clientId, client_secret: this.clientSecret },
    }).then((answer) => answer.access_token);
    return this.appToken;
  }

  /** A token of a user who is registered if need be. */
  async userToken(username, ttl) {
    const answer = await this.ok('POST', '/token', {
      body: { grant_type: 'inherit', username, autoCreateUser: true, ...(ttl === undefined ? {} : { ttl }) },
    });
    return answer.access_token;
  }

  async register(username, password) {
    return this.ok('POST', '/users', { body: { username, password } });
  }

  /** A token as the customer's own server would make it, without asking ours. */
  dynamicToken(userId, { ttl = 600, at = Math.floor(Date.now() / 1000), hash = 'sha256', secret } = {}) {
    const text = `${this.clientId}${this.key}${userId}${at}${ttl}${secret || this.clientSecret}`;
    const signature = crypto.createHash(hash).update(text).digest('hex');
    const json = JSON.stringify({ signature, appkey: this.key, userId, curTime: at, ttl });
    return Buffer.from(`dt-${json}`).toString('base64').replace(/\+/g, '-').replace(/\//g, '_');
  }

  /** A client of the unmodified SDK, not connected yet. */
  client(username, options) {
    const client = new Client(this, username, options);
    this.closers.push(() => client.close());
    return client;
  }

  /** SDK clients, registered and connected. */
  async online(...usernames) {
    return Promise.all(usernames.map((username) => this.device(username)));
  }

  /** One more connected device of a user. */
  async device(username, options) {
    const client = this.client(username, options);
    await client.open({ accessToken: await this.userToken(username) });
    return client;
  }

  /** A bare socket that speaks MSYNC, logged in unless told otherwise. */
  async raw(username, options = {}) {
    const raw = await Raw.connect(this, username, options);
    this.closers.push(() => raw.close());
    if (options.login === false) return raw;
    const token = options.token || (await this.userToken(username));
    const answer = await raw.login(token, options);
    if (answer.status?.errorCode) throw new Error(`login refused: ${JSON.stringify(answer.status)}`);
    // As the SDK does; without it a server need not push anything.
    if (options.unread !== false) raw.listed = await raw.unread();
    return raw;
  }

  /** A client of the open JSON protocol, connected. */
  async json(username, options) {
    const json = await Json.connect(this, username, await this.userToken(username), options);
    this.closers.push(() => json.close());
    return json;
  }

  /** A line to the server that can be cut. */
  async proxy() {
    const proxy = await Proxy.to(this.server.listen);
    this.closers.push(() => proxy.close());
    return proxy;
  }

  /** Waits until some device of the user has acknowledged everything. */
  async caughtUp(username) {
    await until(`${username} has nothing waiting`, async () => {
      const answer = await this.ok('GET', `/users/${username}/offline_msg_count`);
      return answer.data[username] === 0;
    });
  }

  async close() {
    await Promise.all(this.closers.splice(0).map((close) => close()));
  }
}

/** Gives each test of a file apps that are closed after it, and the server that they live on. */
function fixture(test) {
  let apps = [];
  test.afterEach(async () => {
    await Promise.all(apps.splice(0).map((app) => app.close()));
  });
  test.after(async () => {
    await releaseServer();
  });
  return async (settings, server) => {
    const app = await App.create(settings, server);
    apps.push(app);
    return app;
  };
}

module.exports = { App, fixture };
