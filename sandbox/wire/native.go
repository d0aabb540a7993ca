package wire

// The version of the native form that this code speaks, and the oldest that it still understands.
const (
	Version       = 1
	OldestVersion = 1
)

// Headers of native requests.
const (
	HeaderKey     = "X-Session-API-Key" // the server's key, as OpenHands clients send it too
	HeaderEpoch   = "Sandtree-Epoch"    // of the controller's activation, decimal; a lower one than before is fenced
	HeaderVersion = "Sandtree-Version"  // of the native form, decimal; in answers the highest that the server speaks
	HeaderOwner   = "Sandtree-Owner"    // whose controller is asking
)

// Routes of the native form. Failures are in the form of AppendError, with the status of HTTPStatus.
const (
	// PathActions + ID: POST with an action as body performs it; the answer is frames. ?offset=N leaves out what the
	// action printed before byte N. The same id with the same body joins the action or gives the stored answer; with
	// another body it is a conflict. GET joins or gives the stored answer but never starts anything: not_found if the
	// id was never received. POST PathActions + ID + SuffixInterrupt sends SIGINT to what the action runs in the
	// foreground; 204.
	PathActions     = "/v1/actions/"
	SuffixInterrupt = "/interrupt"
	// PathFiles?path=: GET streams a file, PUT makes or replaces it with the body.
	PathFiles = "/v1/files"
	// PathTree?path=: GET streams a directory as tar, PUT unpacks the body, a tar.
	PathTree = "/v1/tree"
	// PathList?path=: GET answers a JSON array of names.
	PathList = "/v1/list"
	// PathTerminal?cols=&rows=: GET with "Connection: Upgrade" and "Upgrade: " + UpgradeTerminal answers 101; then
	// frames go both ways, of types FrameInput, FrameResize, FrameOutput, FrameExit.
	PathTerminal    = "/v1/terminal"
	UpgradeTerminal = "sandtree-terminal"
	// PathEnv: PUT with NAME=VALUE, NUL, NAME=VALUE, … as body gives shells and terminals that start from now on these
	// variables, byte for byte; those that run keep what they have. 204.
	PathEnv = "/v1/env"
	// PathLease: POST with HeaderEpoch and HeaderOwner renews the controller's lease; 204. A lower epoch is a conflict.
	PathLease = "/v1/lease"
)
