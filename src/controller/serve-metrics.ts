// SPDX-License-Identifier: MIT
/** `attach --metrics`: loaded only when it is asked for. */
import type { ListenAddress } from '../metrics/address';
import { CONTENT_TYPE, metricsText } from '../metrics/prometheus';
import { readings } from '../metrics/readings';
import { MetricsServer } from '../metrics/server';
import type { Attachment } from '../state/store';

/** An interface of this process. */
export interface Served {
  readonly isClosing: boolean;
  readonly attachment: Attachment;
}

/** Serves the interfaces of this process: whatever is in the list when it is asked. */
export function serveMetrics(address: ListenAddress, controllers: readonly Served[]): Promise<MetricsServer> {
  const attachments = () => controllers.filter(({ isClosing }) => !isClosing).map(({ attachment }) => attachment);
  return MetricsServer.listen(address, CONTENT_TYPE, () => metricsText(readings(attachments())));
}
