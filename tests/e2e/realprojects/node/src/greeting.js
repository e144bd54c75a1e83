/** The words for whoever asks. */
function greeting(name) {
  return `Hello ${name}!`;
}

module.exports = { greeting };
