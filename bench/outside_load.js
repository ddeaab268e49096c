// Game clients that tick at a fixed rate, as k6 plays them: the contract comes by gRPC's server reflection.
// A tick that is not answered when the next one is due is missed, and so are those that are due before its answer.
import grpc from 'k6/net/grpc';
import encoding from 'k6/encoding';
import { sleep } from 'k6';
import { Counter } from 'k6/metrics';

const AGENTS = Number(__ENV.AGENTS), TICK_MS = 1000 / Number(__ENV.RATE);

export const options = {
  vus: Number(__ENV.CLIENTS),
  duration: `${__ENV.SECONDS}s`,
  summaryTrendStats: ['med', 'p(99)', 'max'],
};

const client = new grpc.Client();
const ticks = new Counter('ticks');
const missed = new Counter('missed_ticks');
const failed = new Counter('failed_ticks');
const observations = Object.entries(JSON.parse(__ENV.OBSERVATIONS)).map(([name, agent]) => {
  const shape = [AGENTS, ...agent];
  const values = new Float32Array(shape.reduce((a, b) => a * b)).fill(0.25);
  return { name, tensor: { dtype: 'DATA_TYPE_FLOAT32', shape, data: encoding.b64encode(values.buffer) } };
});
const request = {
  session_id: '',
  groups: [{
    name: 'guards',
    model: { name: __ENV.POLICY },
    agent_ids: Array.from({ length: AGENTS }, (_, i) => i),
    observations,
  }],
};
let due = 0;

function connect() {
  client.connect(__ENV.ADDRESS, { plaintext: true, reflect: true });
}

// Up to 1.1.0 k6 registers the messages of a contract in one table for all clients without a lock, and panics when two clients do
// so at the same time (https://github.com/grafana/k6/issues/3961). After this one call they all find them registered.
export function setup() {
  connect();
  client.close();
}

export default function () {
  if (!due) {
    connect();
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
