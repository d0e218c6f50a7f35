// Reads so many events twice with node's `eventsource`; prints the microseconds of CPU and of time
// that passed in the second, when all is compiled.
//
//     node _node.mjs URL COUNT
import { EventSource } from 'eventsource'

const [url, count] = process.argv.slice(2)

function read(wanted) {
  return new Promise((resolve, reject) => {
    const source = new EventSource(url)
    let received = 0
    source.onmessage = () => {
      received += 1
      if (received === wanted) {
        source.close()
        resolve()
      }
    }
    source.addEventListener('update', source.onmessage)
    source.onerror = () => {
      source.close()
      reject(new Error(`lost after ${received} events`))
    }
  })
}

await read(Number(count))
const cpu = process.cpuUsage()
const began = performance.now()
await read(Number(count))
const { user, system } = process.cpuUsage(cpu)
console.log(user + system, (performance.now() - began) * 1000)
