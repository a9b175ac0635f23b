// The tus server of its authors, on files in a folder: node server.mjs FOLDER PORT
import { createServer } from 'node:http'
import { FileStore } from '@tus/file-store'
import { Server } from '@tus/server'

const [folder, port] = process.argv.slice(2)
const tus = new Server({ path: '/files', datastore: new FileStore({ directory: folder }) })
createServer(tus.handle.bind(tus)).listen(Number(port), '127.0.0.1')
