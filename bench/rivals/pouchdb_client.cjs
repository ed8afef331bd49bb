// Fills a local PouchDB with the records of a file and replicates it to a server, once. Prints seconds for both.
const fs = require('fs')
const PouchDB = require('pouchdb')

const [, , folder, records, remote] = process.argv
const BATCH = 1000

async function main () {
  const docs = fs.readFileSync(records, 'utf8').trim().split('\n').map(line => JSON.parse(line))
  const local = new PouchDB(folder + '/office')
  const filling = performance.now()
  for (let first = 0; first < docs.length; first += BATCH) {
    await local.bulkDocs(docs.slice(first, first + BATCH).map(doc => ({ _id: doc.nik, ...doc })))
  }
  const sending = performance.now()
  const done = await PouchDB.replicate(local, remote, { batch_size: BATCH })
  const ended = performance.now()
  if (!done.ok || done.docs_written !== docs.length) throw new Error(JSON.stringify(done))
  console.log(JSON.stringify({ fill_s: (sending - filling) / 1000, replicate_s: (ended - sending) / 1000 }))
  await local.close()
}

main().catch(error => { console.error(error); process.exit(1) })
