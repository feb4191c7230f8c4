// Two comforts, both of which a page does without: a button that shows what is
// typed into a password field, and how many characters a new one still needs.
// Every word comes from the page, which has it from the message catalogue.
(() => {
  'use strict';

  // What a screen reader is to say goes into a live region that was there before.
  const announcer = (parent) => {
    const region = document.createElement('span');
    region.className = 'sr-only';
    region.setAttribute('aria-live', 'polite');
    parent.append(region);
    return (words) => { region.textContent = words; };
  };

  const addReveal = (input, model) => {
    const button = model.content.firstElementChild.cloneNode(true);
    button.setAttribute('aria-controls', input.id);
    input.after(button);
    const say = announcer(input.parentElement);
    const show = (shown) => {
      input.type = shown ? 'text' : 'password';
      button.setAttribute('aria-pressed', String(shown));
    };
    button.addEventListener('click', () => {
      show(input.type === 'password');
      say(input.type === 'password' ? button.dataset.hidden : button.dataset.shown);
    });
    // A field of type text would be remembered by the browser as plain text.
    input.form.addEventListener('submit', () => show(false));
  };

  const addLength = (hint) => {
    const input = document.getElementById(hint.dataset.lengthOf);
    const min = Number(hint.dataset.min);
    let timer;
    const tell = () => {
      // Characters are counted as the server counts them: code points, composed.
      const missing = min - [...input.value.normalize('NFC')].length;
      if (input.value === '') hint.textContent = '';
      else if (missing <= 0) hint.textContent = hint.dataset.enough;
      else if (missing === 1) hint.textContent = hint.dataset.last;
      else hint.textContent = hint.dataset.more.replace('{0}', String(missing));
      hint.toggleAttribute('data-met', missing <= 0);
    };
    // Not at every key: a screen reader would do nothing but count.
    input.addEventListener('input', () => {
      clearTimeout(timer);
      timer = setTimeout(tell, 300);
    });
  };

  const model = document.getElementById('reveal');
  if (model) document.querySelectorAll('input[data-reveal]').forEach((input) => addReveal(input, model));
  document.querySelectorAll('[data-length-of]').forEach(addLength);
})();
