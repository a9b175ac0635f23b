// Uploads a file and downloads it again by the generated client. Usage: call.js TARGET API_KEY ACCOUNT_ID FILE
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { argv, stdout } from "node:process";
import { createClient, type Interceptor } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { AccountService } from "./generated/kazoo_media/v1/account_service_pb.js";
import { MediaService } from "./generated/kazoo_media/v1/media_service_pb.js";

const [target, apiKey, accountId, file] = argv.slice(2) as [string, string, string, string];
const baseUrl = `http://${target}`;

const accounts = createClient(AccountService, createGrpcTransport({ baseUrl }));
const { token } = await accounts.issueToken({ apiKey });
const authorized: Interceptor = (next) => (request) => {
  request.header.set("authorization", `Bearer ${token}`);
  return next(request);
};
const media = createClient(MediaService, createGrpcTransport({ baseUrl, interceptors: [authorized] }));

const audio = await readFile(file);

async function* parts() {
  yield { header: { accountId, media: { id: "from-typescript", name: "From TypeScript" } } };
  for (let start = 0; start < audio.length; start += 65536) {
    yield { data: audio.subarray(start, start + 65536) };
  }
  const sha256 = createHash("sha256").update(audio).digest("hex");
  yield { finish: { sizeBytes: BigInt(audio.length), sha256 } };
}

const uploaded = await media.uploadContent(parts());
if (!uploaded.created) throw new Error("the media was there already");
const received: Uint8Array[] = [];
for await (const { part } of media.downloadContent({ accountId, mediaId: "from-typescript" })) {
  if (part.case === "data") received.push(part.value);
}
const read = Buffer.concat(received);
if (!audio.equals(read)) throw new Error("what was downloaded differs");
stdout.write(`${uploaded.media?.contentType} ${read.length}\n`);
