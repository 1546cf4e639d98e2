// A page of somebody else's, which shows a call in a frame and lends it what its query says.
const options = new URLSearchParams(location.search);
const frame = document.createElement('iframe');
frame.title = 'The call';
frame.width = 448;
frame.height = 322;
frame.allow = options.get('allow');
frame.src = options.get('src');
document.querySelector('main').append(frame);
