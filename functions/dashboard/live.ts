/**
 * The page's script. It keeps a running campaign up to date and streams the file of an upload; every page works without it.
 * Plain text on purpose: it runs in the browser, so nothing of the bundler may reach into it.
 */
export const APP_JS = String.raw`'use strict';
(() => {
  const EVERY_MS = 2000;
  const SLOWEST_MS = 30000;
  const byId = (id) => document.getElementById(id);

  // Makes "now" like "next" by changing only what differs, so that focus, scroll position and open menus stay.
  const morph = (now, next) => {
    if (now.isEqualNode(next) || (now.dataset && 'keep' in now.dataset)) return;
    if (now.nodeType !== Node.ELEMENT_NODE) {
      now.nodeValue = next.nodeValue;
      return;
    }
    for (const { name } of [...now.attributes]) {
      if (!next.hasAttribute(name) && name !== 'open') now.removeAttribute(name);
    }
    for (const { name, value } of next.attributes) {
      if (now.getAttribute(name) !== value) now.setAttribute(name, value);
    }
    const keyed = new Map([...now.children].filter((node) => node.id).map((node) => [node.id, node]));
    let at = now.firstChild;
    for (const node of [...next.childNodes]) {
      const inPlace = at && !at.id && at.nodeName === node.nodeName ? at : null;
      const match = node.id ? keyed.get(node.id) : inPlace;
      if (!match) {
        now.insertBefore(node, at);
        continue;
      }
      if (match === at) at = at.nextSibling;
      else now.insertBefore(match, at);
      morph(match, node);
    }
    while (at) {
      const rest = at.nextSibling;
      at.remove();
      at = rest;
    }
  };

  let etag = '';
  let wait = EVERY_MS;
  let timer = 0;
  let asked = 0;
  const live = byId('live');
  const lost = byId('lost');

  const later = () => {
    clearTimeout(timer);
    if (live && live.dataset.live === 'yes' && !document.hidden) timer = setTimeout(refresh, wait);
  };
  const refresh = async () => {
    clearTimeout(timer);
    asked += 1;
    const mine = asked;
    try {
      const answer = await fetch(live.dataset.src, { headers: etag ? { 'if-none-match': etag } : {}, cache: 'no-store' });
      if (answer.status === 401 || answer.status === 404) {
        location.reload();
        return;
      }
      if (answer.status !== 304 && !answer.ok) throw new Error(String(answer.status));
      if (answer.status === 200) {
        const text = await answer.text();
        if (mine !== asked) return;
        etag = answer.headers.get('etag') || '';
        const focused = document.activeElement;
        const next = new DOMParser().parseFromString(text, 'text/html').getElementById('live');
        morph(live, next);
        if (focused && focused.isConnected && focused !== document.activeElement) focused.focus({ preventScroll: true });
      }
      lost.hidden = true;
      wait = EVERY_MS;
    } catch {
      // Said on the page, and tried again more slowly.
      lost.hidden = false;
      wait = Math.min(wait * 2, SLOWEST_MS);
    }
    if (mine === asked) later();
  };
  if (live) {
    document.addEventListener('visibilitychange', () => (document.hidden ? clearTimeout(timer) : live.dataset.live === 'yes' && refresh()));
    later();
  }

  // A second press of a button while the first is on its way changes nothing.
  const underWay = new WeakSet();
  document.addEventListener('submit', (event) => {
    if (!event.target.matches('[data-once]')) return;
    if (underWay.has(event.target)) event.preventDefault();
    underWay.add(event.target);
  });
  addEventListener('pageshow', (event) => event.persisted && location.reload());

  const form = byId('upload-form');
  if (form) {
    form.addEventListener('submit', (event) => {
      event.preventDefault();
      const file = byId('file').files[0];
      const result = byId('upload-result');
      const sent = byId('sent');
      const button = form.querySelector('button');
      const say = (message) => {
        result.replaceChildren(Object.assign(document.createElement('p'), { className: 'note bad', textContent: message }));
      };
      const request = new XMLHttpRequest();
      request.open('POST', form.action);
      request.setRequestHeader('content-type', 'text/csv');
      request.upload.onprogress = (progress) => {
        if (progress.lengthComputable) sent.value = (100 * progress.loaded) / progress.total;
        if (progress.loaded === progress.total) sent.removeAttribute('value');
      };
      request.onloadend = () => {
        sent.hidden = true;
        button.disabled = false;
        if (request.status === 401) location.reload();
        else if (request.status === 0) say('The upload was cut off. What had arrived is kept: upload the file again, nobody is added twice.');
        else if ((request.getResponseHeader('content-type') || '').startsWith('text/html')) {
          result.replaceChildren(...new DOMParser().parseFromString(request.responseText, 'text/html').body.childNodes);
          if (request.status === 200) form.reset();
        } else say('The upload failed (' + request.status + '). Please try again.');
        refresh();
      };
      result.textContent = '';
      sent.hidden = false;
      button.disabled = true;
      request.send(file);
    });
  }
})();
`;
