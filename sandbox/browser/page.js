// Runs in a world of its own in every frame, which the page's scripts do not see. What it keeps lasts as long as the frame's document.
(() => {
  if (globalThis.sandtree) return;

  const bids = new WeakMap(); // element → bid
  const elements = new Map(); // bid → element, weakly
  let plain = 0, inner = 0; // how many have been named

  // Names of frames are free of prefixes, so that the names of what is in them are unique: a, b, …, y, zA, zB, …, zY, zZA, … in
  // the page, A, B, …, Y, ZA, … in a frame.
  function frameName(prefix, n) {
    const first = prefix === '' ? 97 : 65;
    let name = '';
    if (n < 25) return prefix + String.fromCharCode(first + n);
    name = String.fromCharCode(first + 25);
    for (n -= 25; n >= 25; n -= 25) name += 'Z';
    return prefix + name + String.fromCharCode(65 + n);
  }

  // All elements in document order, with those in open shadow trees behind their host.
  function* all(root) {
    const stack = [root];
    while (stack.length > 0) {
      const node = stack.pop();
      if (node.nodeType === 1) yield node;
      for (let c = node.lastElementChild; c; c = c.previousElementSibling) stack.push(c);
      if (node.shadowRoot) stack.push(node.shadowRoot);
    }
  }

  function find(bid) {
    const el = elements.get(bid)?.deref();
    return el && el.isConnected ? el : null;
  }

  function put(el, name, value) {
    if (el.getAttribute(name) !== value) el.setAttribute(name, value);
  }

  const roles = new Set(['button', 'link', 'checkbox', 'radio', 'switch', 'tab', 'option', 'menuitem', 'menuitemcheckbox',
    'menuitemradio', 'combobox', 'listbox', 'textbox', 'searchbox', 'slider', 'spinbutton', 'treeitem', 'gridcell']);
  const tags = new Set(['BUTTON', 'SELECT', 'TEXTAREA', 'SUMMARY', 'OPTION', 'VIDEO', 'AUDIO', 'DETAILS', 'EMBED']);

  function interactive(el) {
    return tags.has(el.tagName) || el.tagName === 'INPUT' && el.type !== 'hidden' || el.tagName === 'A' && el.hasAttribute('href') ||
      el.hasAttribute('onclick') || el.isContentEditable && !el.parentElement?.isContentEditable ||
      el.tabIndex >= 0 && el.hasAttribute('tabindex') || roles.has(el.getAttribute('role'));
  }

  function under(x, y) {
    let hit = document.elementFromPoint(x, y);
    for (let next; hit?.shadowRoot && (next = hit.shadowRoot.elementFromPoint(x, y)) && next !== hit;) hit = next;
    return hit;
  }

  function within(outer, el) {
    for (; el; el = el.assignedSlot ?? el.parentNode ?? el.host) if (el === outer) return true;
    return false;
  }

  function visible(el, rect) {
    return rect.width > 0 && rect.height > 0 && el.checkVisibility({visibilityProperty: true, opacityProperty: true});
  }

  // Names every element and notes how much of it can be seen and whether it can be acted upon. The answer has a row for each
  // that is marked, or for each.
  function mark(prefix, full, most) {
    const rows = [], seen = []; // all is read before anything is written: what is written in between costs a layout each time
    for (const el of all(document)) {
      if (seen.length >= most) break;
      let bid = bids.get(el);
      if (bid === undefined) {
        const frame = el.tagName === 'IFRAME' || el.tagName === 'FRAME';
        bid = frame ? frameName(prefix, inner++) : prefix + plain++;
        bids.set(el, bid);
        elements.set(bid, new WeakRef(el));
      }
      const rect = el.getBoundingClientRect();
      let ratio = 0;
      if (visible(el, rect)) {
        const width = Math.min(rect.right, innerWidth) - Math.max(rect.left, 0);
        const height = Math.min(rect.bottom, innerHeight) - Math.max(rect.top, 0);
        if (width > 0 && height > 0) ratio = Math.round(100 * width * height / (rect.width * rect.height)) / 100;
      }
      let marked = ratio >= 0.5 && interactive(el);
      if (marked) {
        const hit = under(rect.left + rect.width / 2, rect.top + rect.height / 2);
        marked = hit !== null && (within(el, hit) || within(hit, el));
      }
      seen.push([el, bid, String(ratio), marked ? '1' : '0']);
      if (marked || full) rows.push([bid, ratio, marked ? 1 : 0, rect.width > 0 || rect.height > 0 ? 1 : 0, rect.left, rect.top, rect.width, rect.height]);
    }
    for (const [el, bid, ratio, marked] of seen) {
      put(el, 'bid', bid);
      put(el, 'browsergym_visibility_ratio', ratio);
      put(el, 'browsergym_set_of_marks', marked);
    }
    return {rows};
  }

  // Where the content of a frame's element begins.
  function offset(bid) {
    const el = find(bid);
    if (!el) return [0, 0];
    const rect = el.getBoundingClientRect(), style = getComputedStyle(el);
    return [rect.left + el.clientLeft + parseFloat(style.paddingLeft), rect.top + el.clientTop + parseFloat(style.paddingTop)];
  }

  function focused() {
    let el = document.activeElement;
    while (el?.shadowRoot?.activeElement) el = el.shadowRoot.activeElement;
    return el ? bids.get(el) ?? '' : '';
  }

  const frame = () => new Promise(resolve => {
    requestAnimationFrame(resolve);
    setTimeout(resolve, 60); // a page that is not shown has no frames
  });

  function describe(el) {
    const id = el.id ? ' id="' + el.id + '"' : '', cls = el.getAttribute('class');
    return ('<' + el.tagName.toLowerCase() + id + (cls ? ' class="' + cls + '"' : '')).slice(0, 100) + '>';
  }

  function disabled(el) {
    return el.matches(':disabled') || el.closest('[aria-disabled=true]') !== null;
  }

  // Why el cannot be acted upon now; '' if it can.
  function obstacle(el, want, x, y) {
    if (!visible(el, el.getBoundingClientRect())) return 'element is not visible';
    if (want.enabled && disabled(el)) return 'element is not enabled';
    if (want.editable && (el.readOnly || el.getAttribute('aria-readonly') === 'true')) return 'element is not editable';
    if (!want.hit) return '';
    const hit = under(x, y);
    if (!hit) return 'element is outside of the viewport';
    if (within(el, hit) || hit.tagName === 'LABEL' && hit.control === el || hit.closest('label')?.control === el) return '';
    return describe(hit) + ' intercepts pointer events';
  }

  // Waits until the element is where it was a frame ago and nothing is in the way. Gives where its middle is.
  async function ready(bid, want, time) {
    const until = performance.now() + time;
    for (let last = ''; ;) {
      const el = find(bid);
      if (!el) return {missing: true};
      el.scrollIntoViewIfNeeded?.(true);
      const rect = el.getClientRects()[0] ?? el.getBoundingClientRect();
      const left = Math.max(rect.left, 0), top = Math.max(rect.top, 0);
      const x = (left + Math.max(Math.min(rect.right, innerWidth), left)) / 2;
      const y = (top + Math.max(Math.min(rect.bottom, innerHeight), top)) / 2;
      const why = obstacle(el, want, x, y), now = [x, y, rect.width, rect.height].join();
      if (why === '' && now === last) return {x, y};
      if (performance.now() > until) return {why: why || 'element is not stable'};
      last = now;
      await frame();
    }
  }

  function changed(el) {
    el.dispatchEvent(new Event('input', {bubbles: true, composed: true}));
    el.dispatchEvent(new Event('change', {bubbles: true}));
  }

  const chosen = new Set(['color', 'date', 'time', 'datetime-local', 'month', 'range', 'week']); // inputs that are not typed into
  const typed = new Set(['', 'email', 'number', 'password', 'search', 'tel', 'text', 'url']);

  // Replaces the text of an element as if it were typed. Gives why that cannot be.
  function fill(bid, value) {
    let el = find(bid);
    if (!el) return {missing: true};
    if (el.tagName === 'LABEL' && el.control) el = el.control;
    if (el.tagName === 'INPUT') {
      if (chosen.has(el.type)) {
        el.focus();
        el.value = value;
        if (el.value !== value && value !== '') return {why: 'Malformed value'};
        changed(el);
        return {};
      }
      if (!typed.has(el.type)) return {why: 'Input of type "' + el.type + '" cannot be filled'};
      if (el.type === 'number' && isNaN(Number(value))) return {why: 'Cannot type text into input[type=number]'};
    } else if (el.tagName !== 'TEXTAREA' && !el.isContentEditable) {
      return {why: 'Element is not an <input>, <textarea>, <select> or [contenteditable] and does not have a role allowing [aria-readonly]'};
    }
    el.focus();
    if (el.isContentEditable) getSelection().selectAllChildren(el); else el.select();
    const had = el.isContentEditable ? el.textContent : el.value;
    if (value === '') {
      if (had !== '') document.execCommand('delete');
    } else if (!document.execCommand('insertText', false, value) && !el.isContentEditable) {
      el.value = value;
      changed(el);
    }
    return {};
  }

  const squeeze = s => s.trim().replace(/\s+/g, ' ');

  function select(bid, options) {
    let el = find(bid);
    if (!el) return {missing: true};
    if (el.tagName === 'LABEL' && el.control) el = el.control;
    if (el.tagName !== 'SELECT') return {why: 'Element is not a <select> element'};
    const all = [...el.options], picked = [];
    for (const want of el.multiple ? options : options.slice(0, 1)) {
      const o = all.find(o => o.value === want) ?? all.find(o => squeeze(o.label) === squeeze(want));
      if (!o) return {why: 'did not find some options'};
      if (o.disabled) return {why: 'option being selected is not enabled'};
      picked.push(o);
    }
    el.focus();
    for (const o of all) o.selected = picked.includes(o);
    if (!el.multiple && picked.length === 0) el.value = '';
    changed(el);
    return {};
  }

  function focus(bid) {
    const el = find(bid);
    if (!el) return {missing: true};
    el.focus();
    return {};
  }

  const silent = new Set(['SCRIPT', 'STYLE', 'NOSCRIPT', 'TEMPLATE', 'HEAD', 'IMG', 'PICTURE', 'SVG', 'CANVAS', 'IFRAME', 'OBJECT',
    'VIDEO', 'AUDIO', 'SELECT', 'DATALIST']);
  const blocks = new Set(['ADDRESS', 'ARTICLE', 'ASIDE', 'BLOCKQUOTE', 'BODY', 'CAPTION', 'DD', 'DETAILS', 'DIALOG', 'DIV', 'DL', 'DT',
    'FIELDSET', 'FIGCAPTION', 'FIGURE', 'FOOTER', 'FORM', 'H1', 'H2', 'H3', 'H4', 'H5', 'H6', 'HEADER', 'HR', 'LEGEND', 'LI', 'MAIN',
    'MENU', 'NAV', 'OL', 'P', 'PRE', 'SECTION', 'SUMMARY', 'TABLE', 'TR', 'UL']);
  const tight = new Set(['LI', 'TR', 'DT', 'DD']); // no empty line between two
  const around = {STRONG: '**', B: '**', EM: '_', I: '_', CODE: '`'};

  // The text of the document in the manner of Markdown, with its links and without its images, of so many characters at most.
  function text(most) {
    let out = '', lists = [], pre = 0;
    let gap = 0, space = false, lead = ''; // line ends, or a space, and the marks that are due before what comes
    const write = s => {
      if (gap > 0 && out !== '') out += '\n'.repeat(gap);
      else if (space && out !== '' && !/\s$/.test(out)) out += ' ';
      out += lead + s;
      gap = 0;
      space = false;
      lead = '';
    };
    const shut = (mark, end) => { // ends what mark began; if there was nothing in it, it did not begin
      if (lead.endsWith(mark)) { lead = lead.slice(0, -mark.length); return; }
      gap = 0;
      const after = space;
      space = false;
      write(end);
      space = after;
    };
    const due = n => { gap = Math.max(gap, n); };
    const words = s => {
      if (pre > 0) return s === '' ? undefined : write(s);
      const trimmed = s.trim().replace(/\s+/g, ' ');
      if (/^\s/.test(s)) space = true;
      if (trimmed === '') return;
      write(trimmed);
      space = /\s$/.test(s);
    };
    const open = el => {
      const tag = el.tagName;
      if (blocks.has(tag)) due(tight.has(tag) ? 1 : 2);
      if (/^H[1-6]$/.test(tag)) write('#'.repeat(tag[1]) + ' ');
      else if (tag === 'UL' || tag === 'OL' || tag === 'MENU') {
        if (lists.length > 0) gap = 1;
        lists.push(tag === 'OL' ? el.start || 1 : 0);
      } else if (tag === 'LI') {
        const n = lists.at(-1) || 0;
        write('  '.repeat(Math.max(lists.length - 1, 0)) + (n > 0 ? lists[lists.length - 1]++ + '. ' : '* '));
      } else if (tag === 'PRE') { write('```\n'); pre++; }
      else if (tag === 'BLOCKQUOTE') write('> ');
      else if (tag === 'HR') write('---');
      else if (tag === 'BR') due(1);
      else if ((tag === 'TD' || tag === 'TH') && el.previousElementSibling) { space = true; write('| '); }
      else if (around[tag] && pre === 0) lead += around[tag];
      else if (tag === 'A' && el.hasAttribute('href')) lead += '[';
      else if (tag === 'INPUT' && (el.type === 'submit' || el.type === 'button')) words(' ' + el.value + ' ');
    };
    const close = el => {
      const tag = el.tagName;
      if (tag === 'A' && el.hasAttribute('href')) shut('[', '](' + el.href + ')');
      else if (around[tag] && pre === 0) shut(around[tag], around[tag]);
      else if (tag === 'PRE') { gap = 0; write(out.endsWith('\n') ? '```' : '\n```'); pre--; }
      else if (tag === 'UL' || tag === 'OL' || tag === 'MENU') lists.pop();
      if (blocks.has(tag)) due(tight.has(tag) || lists.length > 0 ? 1 : 2);
    };
    const stack = document.body ? [[document.body, false]] : [];
    while (stack.length > 0 && out.length < most) {
      const [node, closing] = stack.pop();
      if (closing) { close(node); continue; }
      if (node.nodeType === 3) { words(node.data); continue; }
      if (node.nodeType === 1) {
        if (silent.has(node.tagName.toUpperCase())) continue;
        open(node);
        stack.push([node, true]);
      } else if (node.nodeType !== 11) continue;
      const inner = node.tagName === 'SLOT' && node.assignedNodes().length > 0 ? node.assignedNodes() : (node.shadowRoot ?? node).childNodes;
      for (let i = inner.length - 1; i >= 0; i--) stack.push([inner[i], false]);
    }
    return out.length < most ? out : out.slice(0, most) + '\n[... the rest of the page is left out: it is too long ...]';
  }

  globalThis.sandtree = {mark, offset, focused, frame, ready, fill, select, focus, text, bidOf: el => bids.get(el) ?? ''};
})()
