//! One page's call, from its first frame to its last word: whatever WebSocket carries it, and while none
//! does.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use jiff::Timestamp;
use sip::sdp::SessionDescription;
use tokio::time::{Instant, sleep_until, timeout};

use super::GuestDoor;
use super::figures::GuestRefused;
use super::frames::{ClientFrame, Said, ServerFrame};
use super::line::{Heard, Line};
use super::seats::CallSeat;
use super::sessions::{Claim, RESUME_OCTETS};
use super::token::{CallToken, Cookie, TokenRefusal};
use crate::call::browser::event::{BrowserCall, BrowserInput, BrowserOutput, GuestState};
use crate::http::resolver::status_of;
use crate::shell::guests::{Guest, GuestRefusal};
use crate::storage::{Store, randomness};

/// Who is at the other end of a WebSocket.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    pub(super) client: IpAddr,
    /// Of all our jars: the token tells whose it is.
    pub(super) cookies: Vec<Cookie>,
}

/// Serves a WebSocket until it ends, or hands it to the call that it resumes.
pub(super) async fn run(line: Line, door: Arc<GuestDoor>, store: Store, caller: Caller) {
    // What was needed for the beginning is gone when the call goes on: an offer is some KiB.
    if let Some(session) = Box::pin(begin(line, door, store, caller)).await {
        session.run().await;
    }
}

/// The page says what it wants. `None`: the WebSocket is done with.
async fn begin(
    mut line: Line,
    door: Arc<GuestDoor>,
    store: Store,
    caller: Caller,
) -> Option<Session> {
    let first = timeout(HELLO_TIME_MAX, line.hear()).await;
    let token = match first.unwrap_or(Heard::Refused(GuestRefused::Late)) {
        Heard::Frame(ClientFrame::Hello { token }) => token,
        Heard::Frame(ClientFrame::Resume { token }) => {
            if let Err(line) = door.sessions.resume(&token, &caller.cookies, line) {
                door.refuse(line, GuestRefused::UnknownResume).await;
            }
            return None;
        }
        Heard::Frame(_) => return turned_away(&door, line, GuestRefused::BadFrame).await,
        Heard::Refused(why) => return turned_away(&door, line, why).await,
        Heard::Left | Heard::Lost => return None,
    };
    let (token, claim) = match admit(&door, &token, &caller.cookies) {
        Ok(admitted) => admitted,
        Err(why) => return turned_away(&door, line, why).await,
    };
    if line.say(&door.welcome(&claim)).await.is_err() {
        return None;
    }
    let call = timeout(CALL_TIME_MAX, first_call(&mut line)).await;
    let (sdp, name) = match call.unwrap_or(Err(Some(GuestRefused::Late))) {
        Ok(call) => call,
        Err(Some(why)) => return turned_away(&door, line, why).await,
        Err(None) => return None,
    };
    let Ok(offer) = SessionDescription::parse(sdp.as_bytes()) else {
        return turned_away(&door, line, GuestRefused::BadSdp).await;
    };
    let now = std::time::Instant::now();
    let seat = match door.seats.call(now, caller.client) {
        Ok(seat) => seat,
        Err(why) => return turned_away(&door, line, why).await,
    };
    match place(
        &door,
        &store,
        &token.request_path,
        name,
        offer,
        caller.client,
    )
    .await
    {
        Ok(guest) => Some(Session::new(door, guest, claim, line, seat)),
        Err(ended) => {
            if line.say(&ended).await.is_ok() {
                line.end().await;
            }
            None
        }
    }
}

async fn turned_away(door: &Arc<GuestDoor>, line: Line, why: GuestRefused) -> Option<Session> {
    door.refuse(line, why).await;
    None
}

/// Judges a call token and takes the page's place.
fn admit(
    door: &GuestDoor,
    token: &str,
    cookies: &[Cookie],
) -> Result<(CallToken, Claim), GuestRefused> {
    let now = unix_now();
    let mut refused = GuestRefused::BadToken;
    let mut read = cookies.iter().filter_map(|cookie| {
        match door.tokens.read(token, cookie, now) {
            Ok(token) => return Some((token, cookie)),
            Err(TokenRefusal::Foreign) => {}
            Err(TokenRefusal::Expired) => refused = GuestRefused::TokenExpired,
        }
        None
    });
    let found = read.next();
    let (token, cookie) = found.ok_or(refused)?;
    let random = randomness::<RESUME_OCTETS>().map_err(|_none| GuestRefused::NoRandomness)?;
    let claim = door.sessions.claim(token.load, cookie.clone(), &random)?;
    Ok((token, claim))
}

/// Waits for the offer that begins the call: its description, and the guest's name. `None`: there is
/// nobody to refuse any more.
async fn first_call(line: &mut Line) -> Result<(String, Option<String>), Option<GuestRefused>> {
    loop {
        match line.hear().await {
            Heard::Frame(ClientFrame::Call { sdp, name }) => return Ok((sdp, name)),
            Heard::Frame(ClientFrame::Ping {}) => {
                line.say(&ServerFrame::Pong {})
                    .await
                    .map_err(|_lost| None)?;
            }
            Heard::Frame(ClientFrame::Leave {}) | Heard::Left | Heard::Lost => return Err(None),
            Heard::Frame(
                ClientFrame::Hello { .. }
                | ClientFrame::Resume { .. }
                | ClientFrame::Offer { .. }
                | ClientFrame::Dtmf { .. }
                | ClientFrame::Camera { .. },
            ) => return Err(Some(GuestRefused::BadFrame)),
            Heard::Refused(why) => return Err(Some(why)),
        }
    }
}

/// Resolves the link, now, and asks call control for a call.
async fn place(
    door: &GuestDoor,
    store: &Store,
    path: &str,
    name: Option<String>,
    offer: SessionDescription,
    client: IpAddr,
) -> Result<Guest, ServerFrame> {
    let resolved = store.resolve(path, None, Timestamp::now()).await;
    let mut link = resolved.map_err(|refusal| {
        door.figures.refuse(GuestRefused::Link);
        ServerFrame::ended(refusal.as_str(), status_of(refusal).as_u16(), None)
    })?;
    if let Some(name) = name {
        link.name_guest(&name);
    }
    let call = BrowserCall {
        link,
        offer,
        client,
    };
    door.guests.call(call).map_err(|refusal| {
        let why = refused(refusal);
        door.figures.refuse(why);
        ServerFrame::ended(why.as_str(), 503, Some(BUSY_RETRY))
    })
}

const fn refused(refusal: GuestRefusal) -> GuestRefused {
    match refusal {
        GuestRefusal::Busy => GuestRefused::Busy,
        GuestRefusal::Stopped => GuestRefused::Stopping,
    }
}

/// A call under way.
struct Session {
    door: Arc<GuestDoor>,
    guest: Guest,
    claim: Claim,
    /// Its own, for it may outlive many WebSockets.
    _seat: CallSeat,
    /// `None`: lost, and awaited.
    line: Option<Line>,
    /// Until then something must happen: a call that the page hangs up is over, or its last word is heard.
    due: Option<Instant>,
    /// Its WebSocket was lost, and call control knows it or will.
    is_lost: bool,
    /// What call control must hear, and had no room for; and when that is tried again.
    owed: Option<(Owed, Instant)>,
    state: Option<GuestState>,
    /// The last word, while nobody is there to hear it.
    ended: Option<ServerFrame>,
}

/// A word that is never left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Owed {
    Lost,
    Resumed,
    HangUp,
}

impl Owed {
    const fn input(self) -> BrowserInput {
        match self {
            Self::Lost => BrowserInput::Lost,
            Self::Resumed => BrowserInput::Resumed,
            Self::HangUp => BrowserInput::HangUp,
        }
    }
}

/// What happens next to a call.
enum Step {
    Heard(Heard),
    Told(Option<BrowserOutput>),
    Taken(Line),
    /// The page has given the call up, and begins another.
    Displaced,
    Due,
    /// Call control may have room again.
    Again,
}

impl Session {
    const fn new(
        door: Arc<GuestDoor>,
        guest: Guest,
        claim: Claim,
        line: Line,
        seat: CallSeat,
    ) -> Self {
        Self {
            door,
            guest,
            claim,
            _seat: seat,
            line: Some(line),
            due: None,
            is_lost: false,
            owed: None,
            state: None,
            ended: None,
        }
    }

    /// Until the call is over. What is dropped at the end hangs up.
    async fn run(mut self) {
        loop {
            let over = match self.next().await {
                Step::Heard(Heard::Frame(frame)) => self.hear(frame).await,
                Step::Heard(Heard::Left) => return,
                Step::Heard(Heard::Lost) => self.lose(),
                Step::Heard(Heard::Refused(why)) => Err(why),
                Step::Told(Some(output)) => self.tell(output).await,
                Step::Told(None) => self.forsaken().await,
                Step::Taken(line) => self.resume(line).await,
                Step::Again => self.pay().map(|_is_paid| Over::No),
                Step::Displaced | Step::Due => return,
            };
            if over == Ok(Over::No) {
                continue;
            }
            let (line, door) = (self.line.take(), Arc::clone(&self.door));
            // The page may take its time to close; its call does not wait for that.
            drop(self);
            match (line, over) {
                (Some(line), Err(why)) => door.refuse(line, why).await,
                (Some(line), Ok(_)) => line.end().await,
                (None, _) => {}
            }
            return;
        }
    }

    async fn next(&mut self) -> Step {
        let Self {
            guest, claim, line, ..
        } = self;
        let heard = async {
            match line {
                Some(line) => line.hear().await,
                None => std::future::pending().await,
            }
        };
        let at = async |moment: Option<Instant>| match moment {
            Some(moment) => sleep_until(moment).await,
            None => std::future::pending().await,
        };
        let (due, again) = (self.due, self.owed.map(|(_, again)| again));
        tokio::select! {
            told = guest.hear(), if self.ended.is_none() => Step::Told(told),
            heard = heard => Step::Heard(heard),
            line = claim.lines.recv() => line.map_or(Step::Displaced, |line| Step::Taken(*line)),
            () = at(due) => Step::Due,
            () = at(again) => Step::Again,
        }
    }

    /// A frame of the page.
    async fn hear(&mut self, frame: ClientFrame) -> Result<Over, GuestRefused> {
        let named = frame.kind();
        let input = match frame.said() {
            Said::Word(BrowserInput::HangUp) => {
                self.due = Some(Instant::now() + LEAVE_TIME_MAX);
                return self.insist(Owed::HangUp).map(|()| Over::No);
            }
            Said::Word(input) => input,
            Said::Ping => return self.say(&ServerFrame::Pong {}).await,
            Said::Unfit(why) => return self.object(why, named).await,
            Said::OutOfPlace => return Err(GuestRefused::BadFrame),
        };
        // What is owed comes first: an offer means another thing before a word of a WebSocket that came back.
        let said = match self.pay()? {
            true => self.guest.say(input).map_err(refused),
            false => Err(GuestRefused::Busy),
        };
        match said {
            Ok(()) => Ok(Over::No),
            // The page says it again, if it still means it; its call goes on.
            Err(GuestRefused::Busy) => self.object(GuestRefused::Busy, named).await,
            Err(why) => Err(why),
        }
    }

    /// A frame is not taken. The call goes on without it.
    async fn object(
        &mut self,
        why: GuestRefused,
        frame: &'static str,
    ) -> Result<Over, GuestRefused> {
        self.door.figures.refuse(why);
        let (code, frame) = (why.as_str(), Some(frame));
        self.say(&ServerFrame::Error { code, frame }).await
    }

    /// Says what call control must hear: now, or as soon as it has room.
    fn insist(&mut self, word: Owed) -> Result<(), GuestRefused> {
        self.owed = Some((word, Instant::now()));
        self.pay().map(|_is_paid| ())
    }

    /// Says what is owed. False: there is still no room.
    fn pay(&mut self) -> Result<bool, GuestRefused> {
        let Some((word, _)) = self.owed else {
            return Ok(true);
        };
        match self.guest.say(word.input()).map_err(refused) {
            Ok(()) => self.owed = None,
            Err(GuestRefused::Busy) => self.owed = Some((word, Instant::now() + OWED_AGAIN)),
            Err(why) => return Err(why),
        }
        Ok(self.owed.is_none())
    }

    /// Call control says something.
    async fn tell(&mut self, output: BrowserOutput) -> Result<Over, GuestRefused> {
        if let BrowserOutput::State(state) = output {
            self.state = Some(state);
        }
        let is_last = matches!(output, BrowserOutput::Ended { .. });
        let frame = ServerFrame::of(output);
        let told = self.say(&frame).await?;
        if !is_last {
            // Without a WebSocket nothing else is kept: a page that comes back makes an offer anew, and is told the state.
            return Ok(told);
        }
        if self.line.is_some() {
            return Ok(Over::Yes);
        }
        self.ended = Some(frame);
        self.due = Some(Instant::now() + LAST_WORD_TIME_MAX);
        Ok(Over::No)
    }

    /// Nothing more comes from call control, and no last word did.
    async fn forsaken(&mut self) -> Result<Over, GuestRefused> {
        let why = GuestRefused::Stopping;
        let frame = ServerFrame::ended(why.as_str(), 503, Some(BUSY_RETRY));
        self.say(&frame).await?;
        Ok(Over::Yes)
    }

    /// The WebSocket is gone without a word: the call waits for another. Call control decides how long, for
    /// it knows whether the guest can still be heard.
    fn lose(&mut self) -> Result<Over, GuestRefused> {
        self.line = None;
        self.claim.set_lost(true);
        if self.ended.is_some() {
            // Its last word goes on waiting.
            return Ok(Over::No);
        }
        if self.due.is_some() {
            // It was leaving.
            return Ok(Over::Yes);
        }
        if !std::mem::replace(&mut self.is_lost, true) {
            self.insist(Owed::Lost)?;
        }
        Ok(Over::No)
    }

    /// Another WebSocket of the same page.
    async fn resume(&mut self, line: Line) -> Result<Over, GuestRefused> {
        self.door.figures.resumed.fetch_add(1, Ordering::Relaxed);
        if let Some(before) = self.line.replace(line) {
            // The page has given it up; its close takes a while.
            tokio::spawn(before.replace());
        }
        self.claim.set_lost(false);
        if self.ended.is_none() {
            self.due = None;
        }
        let welcome = self.door.welcome(&self.claim);
        let over = self.say(&welcome).await?;
        if self.line.is_none() {
            return Ok(over);
        }
        if let Some(ended) = self.ended.clone() {
            self.say(&ended).await?;
            let is_told = self.line.is_some();
            return Ok(if is_told { Over::Yes } else { Over::No });
        }
        if let Some(state) = self.state {
            let over = self.say(&ServerFrame::state(state)).await?;
            if self.line.is_none() {
                return Ok(over);
            }
        }
        // Even if nobody noticed that the one before was lost: what it was told last, it may not have heard.
        self.is_lost = false;
        self.insist(Owed::Resumed).map(|()| Over::No)
    }

    /// Says something, where somebody is there to hear it.
    async fn say(&mut self, frame: &ServerFrame) -> Result<Over, GuestRefused> {
        let Some(line) = &mut self.line else {
            return Ok(Over::No);
        };
        match line.say(frame).await {
            Ok(()) => Ok(Over::No),
            Err(_lost) => self.lose(),
        }
    }
}

/// Whether a call is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Over {
    No,
    Yes,
}

/// Unix seconds.
pub(super) fn unix_now() -> u64 {
    u64::try_from(Timestamp::now().as_second()).unwrap_or(0)
}

/// From the WebSocket to `hello`.
const HELLO_TIME_MAX: Duration = Duration::from_secs(5);
/// From `welcome` to `call`: a browser may ask for permissions meanwhile.
const CALL_TIME_MAX: Duration = Duration::from_secs(120);
/// How long the last word waits for a page that is lost.
const LAST_WORD_TIME_MAX: Duration = Duration::from_secs(10);
/// From `leave` to the last word of call control.
const LEAVE_TIME_MAX: Duration = Duration::from_secs(5);
/// Until a word is tried again for which call control had no room.
const OWED_AGAIN: Duration = Duration::from_millis(50);
/// When a busy node may be asked again.
const BUSY_RETRY: Duration = Duration::from_secs(5);
