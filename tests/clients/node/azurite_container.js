// Makes a container in azurite: node azurite_container.js HOST:PORT ACCOUNT KEY NAME.
// The request is signed by hand, so that no further package is needed.
const crypto = require('crypto');
const http = require('http');

const [address, account, key, container] = process.argv.slice(2);
const version = '2021-08-06';
const date = new Date().toUTCString();
const path = `/${account}/${container}?restype=container`;
const toSign = [
  'PUT', '', '', '', '', '', '', '', '', '', '', '',
  `x-ms-date:${date}\nx-ms-version:${version}`,
  `/${account}/${account}/${container}\nrestype:container`,
].join('\n');
const signature = crypto.createHmac('sha256', Buffer.from(key, 'base64')).update(toSign, 'utf8').digest('base64');
const [host, port] = address.split(':');
const headers = {
  'x-ms-date': date, 'x-ms-version': version, 'content-length': 0,
  authorization: `SharedKey ${account}:${signature}`,
};
const request = http.request({ host, port, path, method: 'PUT', headers }, (response) => {
  let body = '';
  response.on('data', (chunk) => { body += chunk; });
  response.on('end', () => {
    if (response.statusCode !== 201) {
      console.error(response.statusCode, body);
      process.exit(1);
    }
  });
});
request.on('error', (error) => { console.error(error); process.exit(1); });
request.end();
