// Game clients that tick at a fixed rate, as k6 plays them: the contract comes by gRPC's server reflection.
// A tick that is not answered when the next one is due is missed, and so are those that are due before its answer.
import grpc from 'k6/net/grpc';
import encoding from 'k6/encoding';
import { sleep } from 'k6';
import { Counter } from 'k6/metrics';

const AGENTS = Number(__ENV.AGENTS), SIZE = Number(__ENV.SIZE), TICK_MS = 1000 / Number(__ENV.RATE);

export const options = {
  vus: Number(__ENV.CLIENTS),
  duration: `${__ENV.SECONDS}s`,
  summaryTrendStats: ['med', 'p(99)', 'max'],
};

const client = new grpc.Client();
const ticks = new Counter('ticks');
const missed = new Counter('missed_ticks');
const failed = new Counter('failed_ticks');
const observations = new Float32Array(AGENTS * SIZE).fill(0.25);
const request = {
  session_id: '',
  groups: [{
    name: 'guards',
    model: { name: __ENV.POLICY },
    agent_ids: Array.from({ length: AGENTS }, (_, i) => i),
    observations: [{
      name: 'observation',
      tensor: { dtype: 'DATA_TYPE_FLOAT32', shape: [AGENTS, SIZE], data: encoding.b64encode(observations.buffer) },
    }],
  }],
};
let due = 0;

export default function () {
  if (!due) {
    client.connect(__ENV.ADDRESS, { plaintext: true, reflect: true });
    request.session_id = `k6 ${__VU}`;
    due = Date.now() + Math.random() * TICK_MS;
  }
  const left = due - Date.now();
  if (left > 0) {
    sleep(left / 1000);
  }
  const answer = client.invoke('bridge.v1.NpcService/ChooseActions', request);
  const behind = Math.floor(Math.max(Date.now() - due, 0) / TICK_MS);
  ticks.add(1 + behind);
  missed.add(behind);
  failed.add(answer.status === grpc.StatusOK && answer.message.groups[0].statuses.length === AGENTS ? 0 : 1);
  due += (1 + behind) * TICK_MS;
}

export function handleSummary(data) {
  return { stdout: JSON.stringify(data.metrics) };
}
