// Uploads files by tus-js-client, four at a time, and compares what becomes of them. Every second upload goes on behind a
// PATCH that hangs. Usage: tus_uploads.js URL CUT_URL API_KEY FILE COUNT; CUT_URL leads to the same service, through cuts.
import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { type ClientRequest, request } from "node:http";
import { argv, stdout } from "node:process";
import { Upload } from "tus-js-client";

const [url, cutUrl, apiKey, file, count] = argv.slice(2) as [string, string, string, string, string];
const login = await fetch(`${url}/v2/api_auth`, { method: "PUT", body: JSON.stringify({ data: { api_key: apiKey } }) });
const { auth_token: token, data: { account_id: account } } = await login.json();
const headers = { "X-Auth-Token": token };
const version = { "Tus-Resumable": "1.0.0" };
const uploads = `/v2/accounts/${account}/uploads`;

const wav = await readFile(file);

function noise(): Buffer {
  return Buffer.concat([wav.subarray(0, 44), randomBytes(wav.length - 44)]);
}

/** Return the path of an upload to which a PATCH appends that has stopped in the middle. */
async function begun(audio: Buffer): Promise<{ path: string; hanging: ClientRequest }> {
  const created = await fetch(url + uploads, {
    method: "POST",
    headers: { ...headers, ...version, "Upload-Length": `${audio.length}` },
  });
  const path = created.headers.get("Location");
  if (!path) throw new Error(`no upload: ${created.status}`);
  const chunk = { "Content-Type": "application/offset+octet-stream", "Content-Length": `${audio.length}` };
  const hanging = request(url + path, {
    method: "PATCH",
    headers: { ...headers, ...version, ...chunk, "Upload-Offset": "0" },
  });
  hanging.on("error", () => {});
  hanging.write(audio.subarray(0, 1000));
  await once(hanging, "socket");
  return { path, hanging };
}

async function send(audio: Buffer, path: string | null): Promise<string> {
  return new Promise((resolve, reject) => {
    const upload = new Upload(audio, {
      endpoint: cutUrl + uploads,
      uploadUrl: path && cutUrl + path,
      headers,
      metadata: { filename: "noise.wav", filetype: "audio/x-wav" },
      chunkSize: 60_000,
      retryDelays: Array(100).fill(10),
      onError: reject,
      onSuccess: () => resolve((upload.url as string).split("/").pop() as string),
    });
    upload.start();
  });
}

async function stored(uploadId: string): Promise<Buffer> {
  const recordings = `${url}/v2/accounts/${account}/recordings`;
  const list = await (await fetch(`${recordings}?filter_upload_id=${uploadId}`, { headers })).json();
  if (list.data.length !== 1) throw new Error(`${list.data.length} recordings of ${uploadId}`);
  const answer = await fetch(`${recordings}/${list.data[0].id}?accept=audio/x-wav`, { headers });
  return Buffer.from(await answer.arrayBuffer());
}

const sha256 = (data: Buffer) => createHash("sha256").update(data).digest("hex");

async function lane(first: number): Promise<void> {
  for (let number = first; number < Number(count); number += 4) {
    const audio = noise();
    const other = number % 2 ? await begun(audio) : null;
    const uploadId = await send(audio, other && other.path);
    if (sha256(await stored(uploadId)) !== sha256(audio)) throw new Error(`upload ${number} differs`);
    other?.hanging.destroy();
  }
}

await Promise.all([0, 1, 2, 3].map(lane));
stdout.write(`${count} uploads\n`);
