'use strict';
// A chat in one page over the open JSON protocol; gateway/protocols/json/README.md tells its rules. Each tab is a device.

const app = document.querySelector('meta[name=app]').content;
const rest = `/${app.replace('#', '/')}`;
const $ = (id) => document.getElementById(id);
const memory = sessionStorage;

let me; // {name, token}
let socket;
let pause = 500;
let current;
let nextId = Date.now();
const people = new Map(); // name → {messages: Map by id, unread, position, typing}
const unanswered = new Map(); // own id → frame

function person(name) {
  if (!people.has(name)) people.set(name, { messages: new Map(), unread: 0 });
  return people.get(name);
}

async function call(path, options = {}) {
  const answer = await fetch(rest + path, options);
  const body = await answer.json().catch(() => ({}));
  return { ok: answer.ok, body };
}

const post = (path, body) => call(path, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) });

async function logIn(name) {
  const password = `demo-${name}`;
  await post('/users', { username: name, password }); // refused when it is registered already
  const { ok, body } = await post('/token', { grant_type: 'password', username: name, password });
  if (!ok) throw new Error(body.error_description || 'This name cannot be used.');
  me = { name: name.toLowerCase(), token: body.access_token };
  memory.name = me.name;
  memory.device ||= `tab-${crypto.getRandomValues(new Uint32Array(2)).join('-')}`;
  $('login').hidden = true;
  $('chat').hidden = false;
  $('me').textContent = me.name;
  document.title = `${me.name} · Meridian`;
  connect();
}

function connect() {
  state('connecting …');
  socket = new WebSocket(`${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}/ws/v1`);
  let again = true;
  socket.onopen = () => {
    const positions = {};
    for (const [name, { position }] of people) if (position) positions[name] = position;
    say({ type: 'hello', app, user: me.name, token: me.token, device: { id: memory.device, platform: 'web', name: 'demo page' }, positions });
    unanswered.forEach(say); // with their ids: stored once however often they are sent
  };
  socket.onmessage = ({ data }) => {
    const frame = JSON.parse(data);
    if (frame.type === 'bye') {
      again = frame.reconnect;
      if (!again) state(frame.code === 'replaced' ? 'open in another tab' : frame.code);
    }
    hear(frame);
  };
  socket.onclose = () => {
    if (!again) return;
    state('reconnecting …');
    setTimeout(connect, pause * (0.5 + Math.random()));
    pause = Math.min(pause * 2, 15000);
  };
}

function say(frame) {
  if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify(frame));
}

/** Says it until it is answered. */
function submit(frame) {
  frame.id = ++nextId;
  unanswered.set(frame.id, frame);
  say(frame);
  return frame.id;
}

const hearing = {
  welcome() {
    pause = 500;
    state('online');
  },
  message(frame) {
    const from = person(frame.conversation);
    if (frame.body.type === 'cmd') {
      if (frame.body.action === 'TypingBegin') typing(from);
      return;
    }
    if (from.messages.has(frame.message)) return;
    const own = frame.from === me.name;
    from.messages.set(frame.message, { own, body: frame.body, time: frame.time });
    from.typing = 0;
    if (own) return;
    if (frame.conversation === current && document.hasFocus()) read(frame.conversation, frame.message);
    else {
      from.unread += 1;
      submit({ type: 'receipt', kind: 'delivered', to: frame.from, message: frame.message });
    }
  },
  edited(frame) {
    const message = person(frame.conversation).messages.get(frame.target);
    if (message) message.body = frame.body;
  },
  recalled(frame) {
    const message = person(frame.conversation).messages.get(frame.target);
    if (message) message.gone = true;
  },
  receipt(frame) {
    for (const [id, message] of person(frame.conversation).messages) {
      if (message.own && (id === frame.target || !frame.target) && message.mark !== 'read') message.mark = frame.kind;
    }
  },
  sent(frame) {
    const asked = unanswered.get(frame.id);
    unanswered.delete(frame.id);
    if (asked?.type !== 'send') return;
    const { messages } = person(asked.to);
    messages.delete(`own-${frame.id}`);
    messages.set(frame.message, { own: true, body: asked.body, time: frame.time, mark: 'sent' });
  },
  error(frame) {
    const asked = unanswered.get(frame.id);
    if (frame.code === 'busy' || frame.code === 'unavailable') {
      if (asked) setTimeout(() => say(asked), 1000);
      return;
    }
    unanswered.delete(frame.id);
    if (asked?.type === 'send') person(asked.to).messages.set(`own-${frame.id}`, { own: true, body: asked.body, time: Date.now(), mark: frame.message });
  },
};

function hear(frame) {
  hearing[frame.type]?.(frame);
  if (frame.position && frame.conversation && frame.type !== 'history') {
    person(frame.conversation).position = frame.position;
    say({ type: 'ack', conversation: frame.conversation, position: frame.position });
  }
  draw();
}

function typing(from) {
  from.typing = Date.now() + 4000;
  setTimeout(draw, 4100);
}

function read(name, message) {
  submit({ type: 'receipt', kind: 'read', to: name, message });
}

function open(name) {
  current = name;
  const { messages, unread } = person(name);
  const last = [...messages].filter(([, message]) => !message.own).at(-1);
  if (unread && last) read(name, last[0]);
  person(name).unread = 0;
  draw();
  $('text').focus();
}

function state(text) {
  $('state').textContent = text;
}

function element(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

/** A file of this server's app, whatever host its URL was made with. */
function source({ url, secret }) {
  const path = new URL(url, location.href).pathname;
  return `${path}${secret ? `?share-secret=${encodeURIComponent(secret)}` : ''}`;
}

function bubble({ own, body, time, mark, gone }) {
  const made = element('div', `message${own ? ' own' : ''}${gone ? ' gone' : ''}`);
  if (gone) made.append('recalled');
  else if (body.type === 'txt') made.append(body.msg);
  else if (body.type === 'img') {
    const image = element('img');
    image.src = source(body);
    image.alt = body.filename || 'a picture';
    made.append(image);
  } else made.append(`[${body.type}]`);
  const clock = new Date(time).toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' });
  const marks = { sent: '✓', delivered: '✓✓', read: '✓✓ read' };
  made.append(element('small', '', own ? `${clock} ${mark ? marks[mark] || mark : '…'}` : clock));
  return made;
}

let drawing;
function draw() {
  drawing ||= requestAnimationFrame(() => {
    drawing = undefined;
    $('people').replaceChildren(...[...people.keys()].sort().map((name) => {
      const button = element('button', name === current ? 'here' : '', name);
      const { unread } = people.get(name);
      if (unread) button.append(element('span', 'new', unread));
      button.onclick = () => open(name);
      return button;
    }));
    $('with').textContent = current || 'Pick somebody to write to';
    $('compose').hidden = !current;
    if (!current) return;
    $('typing').textContent = person(current).typing > Date.now() ? 'is writing …' : '';
    const list = $('messages');
    const atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 80;
    list.replaceChildren(...[...person(current).messages.values()].map(bubble));
    if (atEnd) list.scrollTop = list.scrollHeight;
  });
}

function sendTo(name, body) {
  const id = submit({ type: 'send', to: name, body });
  person(name).messages.set(`own-${id}`, { own: true, body, time: Date.now() });
  draw();
}

$('login-form').onsubmit = (event) => {
  event.preventDefault();
  $('login-error').textContent = '';
  logIn($('name').value.trim()).catch((error) => { $('login-error').textContent = error.message; });
};
$('find').onsubmit = (event) => {
  event.preventDefault();
  const name = $('peer').value.trim().toLowerCase();
  if (name && name !== me.name) open(name);
  $('peer').value = '';
};
$('compose').onsubmit = (event) => {
  event.preventDefault();
  const text = $('text').value.trim();
  if (text) sendTo(current, { type: 'txt', msg: text });
  $('text').value = '';
};
let told = 0;
$('text').oninput = () => {
  if (Date.now() - told < 3000) return;
  told = Date.now();
  say({ type: 'typing', to: current });
};
$('file').onchange = async () => {
  const [file] = $('file').files;
  const to = current;
  const form = new FormData();
  form.append('file', file);
  $('file').value = '';
  const headers = { authorization: `Bearer ${me.token}`, 'restrict-access': 'true' };
  const { ok, body } = await call('/chatfiles', { method: 'POST', headers, body: form });
  if (!ok) return state(body.error_description || 'the picture was not taken');
  const [entity] = body.entities;
  sendTo(to, { type: 'img', url: `${body.uri}/${entity.uuid}`, secret: entity['share-secret'], filename: file.name, file_length: file.size });
};
window.onfocus = () => current && open(current);
if (memory.name) logIn(memory.name).catch(() => { memory.clear(); $('login').hidden = false; });
draw();
