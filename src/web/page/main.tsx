// SPDX-License-Identifier: MIT
/** The entry of the page. The token is in the fragment of its address. */
import { render } from 'preact';

import { App } from './app';
import { Connection } from './connection';
import { Model } from './model';
import 'uplot/dist/uPlot.min.css';
import './page.css';
import './loop.css';
import './charts.css';
import './frames.css';
import './conversations.css';
import './controls.css';
import './debugger.css';

const model: Model = new Model((message) => connection.send(message));
const connection = new Connection(location.hash.slice(1), {
  opened: () => model.opened(),
  received: (message) => model.received(message),
  closed: (opened) => model.closed(opened),
});
connection.open();
// Another token in the fragment does not load the page anew by itself.
addEventListener('hashchange', () => location.reload());

const root = document.getElementById('page');
if (root) render(<App model={model} />, root);
