// SPDX-License-Identifier: MIT
/** Routes to single addresses, in the calling thread's network namespace. What fails is a SystemError. */
import { RT_SCOPE_UNIVERSE } from './addresses';
import { attribute, message, numberAttribute } from './message';
import { askAll, attributesOf, change, familyOf, ipBytes, ipTextOf, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE } from './rtnetlink';

const RTM_NEWROUTE = 24;
const RTM_DELROUTE = 25;
const RTM_GETROUTE = 26;
const RTA = { DST: 1, OIF: 4, PREFSRC: 7, TABLE: 15 };
/** struct rtmsg: family, prefix lengths, tos, table, protocol, scope, type, flags. */
const RTMSG_BYTES = 12;
const PROTOCOL_AT = 5;
const RT_SCOPE_LINK = 253;
const RT_SCOPE_NOWHERE = 255;
const RTN_UNICAST = 1;

/** To an address of the interface itself. */
export interface Route {
  family: 4 | 6;
  address: string;
  table: number;
}

/** The table is an attribute: it may be large. */
function rtmsg({ family, address, table }: Route, protocol: number, scope: number, type: number): Uint8Array[] {
  const header = new Uint8Array(RTMSG_BYTES);
  header.set([familyOf(family), family === 4 ? 32 : 128, 0, 0, 0, protocol, family === 4 ? scope : RT_SCOPE_UNIVERSE, type]);
  return [header, attribute(RTA.DST, ipBytes(family, address)), numberAttribute(RTA.TABLE, table)];
}

/** Routes an address out of an interface that has it, in the place of another route or, with `add`, only if there is none (EEXIST). */
export function setRoute(how: 'add' | 'replace', route: Route, ifindex: number, protocol: number): void {
  const { family, address } = route;
  const parts = [...rtmsg(route, protocol, RT_SCOPE_LINK, RTN_UNICAST), numberAttribute(RTA.OIF, ifindex), attribute(RTA.PREFSRC, ipBytes(family, address))];
  change(RTM_NEWROUTE, message(...parts), NLM_F_CREATE | (how === 'add' ? NLM_F_EXCL : NLM_F_REPLACE));
}

export const removeRoute = (route: Route): void => change(RTM_DELROUTE, message(...rtmsg(route, 0, RT_SCOPE_NOWHERE, 0)));

/** The addresses that have a route of that protocol in a table. */
export function routesOf(family: 4 | 6, table: number, protocol: number): Route[] {
  const header = new Uint8Array(RTMSG_BYTES);
  header[0] = familyOf(family);
  return askAll(RTM_GETROUTE, message(header, numberAttribute(RTA.TABLE, table)), true).flatMap((route) => {
    const to = attributesOf(route, RTMSG_BYTES).get(RTA.DST);
    return to && route.getUint8(PROTOCOL_AT) === protocol ? [{ family, address: ipTextOf(to), table }] : [];
  });
}
