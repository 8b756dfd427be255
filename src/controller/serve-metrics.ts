// SPDX-License-Identifier: MIT
/** `stats --prometheus` and `attach --metrics`: loaded only when they are asked for. */
import type { ListenAddress } from '../metrics/address';
import { CONTENT_TYPE, prometheusText } from '../metrics/prometheus';
import { readings } from '../metrics/readings';
import type { Reading } from '../metrics/samples';
import { MetricsServer } from '../metrics/server';
import type { Controller } from './controller';

const { version } = require('../../package.json') as { version: string };

export const metricsText = (of: readonly Reading[]): string => prometheusText(of, version);

/** Serves the interfaces of this process: whatever is in the list when it is asked. */
export function serveMetrics(address: ListenAddress, controllers: readonly Controller[]): Promise<MetricsServer> {
  const attachments = () => controllers.filter(({ isClosing }) => !isClosing).map(({ attachment }) => attachment);
  return MetricsServer.listen(address, CONTENT_TYPE, () => metricsText(readings(attachments())));
}
