// SPDX-License-Identifier: MIT
/** The WebSocket to the server: it is opened again when it closes. */
import { LIVE, SUBPROTOCOL, type FromPage, type FromServer } from '../protocol';

/** Milliseconds before the first and the longest pause between two attempts. */
const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 5000;

export interface Listener {
  opened: () => void;
  received: (message: FromServer) => void;
  /** `opened`: whether this connection had been open. */
  closed: (opened: boolean) => void;
}

export class Connection {
  private socket: WebSocket | null = null;
  private pause = FIRST_PAUSE_MS;

  /** @param token from the fragment of the page's address, which the browser does not send anywhere */
  constructor(
    private readonly token: string,
    private readonly listener: Listener,
  ) {}

  open(): void {
    const scheme = location.protocol === 'https:' ? 'wss' : 'ws';
    const socket = new WebSocket(`${scheme}://${location.host}${LIVE}`, [SUBPROTOCOL, this.token]);
    let opened = false;
    this.socket = socket;
    socket.onopen = () => {
      opened = true;
      this.pause = FIRST_PAUSE_MS;
      this.listener.opened();
    };
    socket.onmessage = ({ data }) => this.listener.received(JSON.parse(String(data)) as FromServer);
    socket.onclose = () => {
      this.socket = null;
      this.listener.closed(opened);
      setTimeout(() => this.open(), this.pause);
      this.pause = Math.min(LONGEST_PAUSE_MS, this.pause * 2);
    };
  }

  /** Returns whether the message could be sent. */
  send(message: FromPage): boolean {
    if (this.socket?.readyState !== WebSocket.OPEN) return false;
    this.socket.send(JSON.stringify(message));
    return true;
  }
}
