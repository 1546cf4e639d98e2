// Two ends of a call in one page: what the microphone and the camera give is played at the far end.
const root = document.querySelector('main');
const told = document.querySelector('#told');
const options = new URLSearchParams(location.search);
let captured;

document.querySelector('#call').addEventListener('click', async () => {
  root.dataset.state = 'calling';
  try {
    captured = await navigator.mediaDevices.getUserMedia({ audio: true, video: options.has('video') });
    await connect(captured);
  } catch (error) {
    told.textContent = error.name;
    root.dataset.state = 'failed';
  }
});

async function connect(stream) {
  const [near, far] = [new RTCPeerConnection(), new RTCPeerConnection()];
  near.onicecandidate = ({ candidate }) => candidate && far.addIceCandidate(candidate);
  far.onicecandidate = ({ candidate }) => candidate && near.addIceCandidate(candidate);
  far.ontrack = ({ track }) => {
    const element = document.querySelector(track.kind === 'audio' ? '#far' : '#seen');
    element.srcObject = new MediaStream([track]);
    element.play();
  };
  far.onconnectionstatechange = () => {
    root.dataset.state = far.connectionState;
    if (parent !== window) parent.postMessage({ event: far.connectionState }, location.origin);
  };
  stream.getTracks().forEach((track) => near.addTrack(track, stream));
  prefer(near, options.get('video'));
  await near.setLocalDescription();
  await far.setRemoteDescription(near.localDescription);
  await far.setLocalDescription();
  await near.setRemoteDescription(far.localDescription);
}

function prefer(connection, codec) {
  if (!codec) return;
  const video = connection.getTransceivers().find(({ sender }) => sender.track.kind === 'video');
  const { codecs } = RTCRtpSender.getCapabilities('video');
  video.setCodecPreferences(codecs.filter(({ mimeType }) => mimeType === `video/${codec}`));
}
