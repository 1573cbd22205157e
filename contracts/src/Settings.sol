// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.19;

import {IAaveToken, IERC20, IFeed, ISafe, IUniswapV3Pool} from "./interfaces.sol";

/// @title What a Gate allows, and who may change it
/// @notice One rule for every setting: the Safe narrows at once and widens only through the queue, whose delay any single
/// owner can use to cancel or to freeze. Until `seal` the Safe sets everything directly, and nothing can be traded.
///
/// Who may do what, once sealed:
///   the Safe         narrow, renew, freeze, queue a widening
///   any one owner    freeze, cancel what is queued, run what has waited long enough
///   the agent        nothing here
///
/// A freeze also voids everything queued, so that no unfreezing can wait in stock.
abstract contract Settings {
    // ------------------------------------------------------------------ rules, as errors
    error NotTheSafe(address caller);
    error NotAnOwner(address caller);
    error NotTheAgent(address caller);
    error AlreadySealed();
    error NotSealed();
    error Widens();
    error DelayTooShort(uint256 delay, uint256 least);
    error NotQueued(bytes32 id);
    error TooEarly(uint256 readyAt);
    error QueueLapsed(uint256 lapsedAt);
    error BadSetting();
    error Busy();

    // ------------------------------------------------------------------ events
    event Sealed(uint256 delay);
    event Queued(bytes32 indexed id, bytes data, uint256 readyAt);
    event Cancelled(bytes32 indexed id);
    event Changed(bytes data);
    event FrozenBy(address indexed who);
    event Unfrozen();
    event Renewed(uint256 expiry);

    /// @notice `feed` answers USD with `feedDecimals`, and is stale after `maxAge` seconds.
    struct Token {
        address feed;
        uint32 maxAge;
        uint8 decimals;
        uint8 feedDecimals;
    }

    /// @notice The second source of a pair, kept for (lower address, higher address). `window` > 0: a Uniswap V3 pool of the
    /// two, read as the mean of that many seconds. `window` 0: a feed that tells the lower token's price in the higher.
    struct Pair {
        address source;
        uint32 window;
        uint32 maxAge;
        uint8 decimals;
    }

    /// @notice `actions` is a sum of SUPPLY 1, WITHDRAW 2, BORROW 4, REPAY 8; zero is "not listed".
    struct Reserve {
        address aToken;
        address debtToken;
        uint8 actions;
    }

    /// @notice Money is 1e18 USD. In any window of T days at most `burst` + `ratePerDay` × T passes.
    struct Limits {
        uint128 burst;
        uint128 ratePerDay;
        uint16 slackBps;
        uint16 divergenceBps;
        uint32 deadlineSeconds;
        uint32 termSeconds;
        uint64 healthFloor;
    }

    /// @notice Gas money for `account`, in wei: the same two numbers of a bucket, and how much the account may hold.
    struct Gas {
        address account;
        uint96 burst;
        address weth;
        uint96 ratePerDay;
        uint96 floatCap;
    }

    /// @notice A leaky bucket. A day that ends at midnight would let twice its budget pass around midnight; this has no edge.
    struct Bucket {
        uint128 level;
        uint64 at;
    }

    /// How a route is paid: APPROVE exactly and take back, or PUSH before the call (Universal Router).
    uint8 internal constant APPROVE = 1;
    uint8 internal constant PUSH = 2;

    uint256 public constant LEAST_DELAY = 1 hours;
    uint256 public constant QUEUE_LIFE = 7 days;
    uint256 private constant MOST_SLACK_BPS = 1_000;
    uint256 private constant MOST_DEADLINE = 1 hours;
    uint256 private constant MOST_TERM = 90 days;
    uint256 private constant LEAST_HEALTH = 1.05e18;
    uint256 private constant LEAST_WINDOW = 5 minutes;

    /// @notice The wallet this Gate guards. In storage, not immutable: every Gate has the same runtime code.
    address public safe;
    /// @notice Who may trade: the Roles modifier in front of the Gate, an account contract, or a plain key.
    address public agent;
    address public lendingPool;
    address public sequencer;
    /// @notice Where orders for others to settle are opened; 0: nowhere.
    address public offers;
    uint32 public sequencerGrace;
    bool public isSealed;
    bool public frozen;
    uint64 public expiry;
    uint64 public delay;
    uint64 public epoch;
    Limits public limits;
    Gas public gas;
    Bucket public spent;
    Bucket public gasSpent;

    mapping(address => Token) public tokens;
    mapping(address => mapping(address => Pair)) public pairs;
    mapping(address => mapping(bytes4 => uint8)) public routes;
    mapping(address => Reserve) public reserves;
    /// @notice When what was queued under an id may run; see `idOf`.
    mapping(bytes32 => uint256) public readyAt;
    /// @dev What was ever a route, and what must never become one.
    mapping(address => bool) internal _router;
    mapping(address => bool) internal _asset;
    bool private _entered;

    constructor(address safe_) {
        if (safe_ == address(0)) revert BadSetting();
        safe = safe_;
    }

    // ------------------------------------------------------------------ who is asking
    modifier onlySafe() {
        if (msg.sender != safe) revert NotTheSafe(msg.sender);
        _;
    }

    modifier onlyOwnerOrSafe() {
        if (msg.sender != safe && !ISafe(safe).isOwner(msg.sender)) revert NotAnOwner(msg.sender);
        _;
    }

    modifier lock() {
        if (_entered) revert Busy();
        _entered = true;
        _;
        _entered = false;
    }

    /// @dev True where the caller may widen: the queue's own call, or the Safe before the seal. Reverts for strangers.
    function _mayWiden() private view returns (bool) {
        if (msg.sender == address(this)) return true;
        if (msg.sender != safe) revert NotTheSafe(msg.sender);
        return !isSealed;
    }

    function _needs(bool narrower) private view {
        if (!_mayWiden() && !narrower) revert Widens();
    }

    // ------------------------------------------------------------------ seal, queue, freeze, renew
    /// @notice Ends the setting-up: from here on `delay_` seconds lie between the wish to widen and its effect.
    function seal(uint64 delay_) external onlySafe {
        if (isSealed) revert AlreadySealed();
        if (delay_ < LEAST_DELAY) revert DelayTooShort(delay_, LEAST_DELAY);
        isSealed = true;
        delay = delay_;
        emit Sealed(delay_);
    }

    /// @notice What stands for `data`, a call of this contract, in the queue; another after every freeze.
    function idOf(bytes calldata data) public view returns (bytes32) {
        return keccak256(abi.encode(epoch, data));
    }

    function queue(bytes calldata data) external onlySafe returns (bytes32 id) {
        if (!isSealed) revert NotSealed();
        id = idOf(data);
        readyAt[id] = block.timestamp + delay;
        emit Queued(id, data, readyAt[id]);
    }

    function cancel(bytes32 id) external onlyOwnerOrSafe {
        if (readyAt[id] == 0) revert NotQueued(id);
        delete readyAt[id];
        emit Cancelled(id);
    }

    /// @notice Runs what was queued, after the delay and within `QUEUE_LIFE` of it.
    function run(bytes calldata data) external onlyOwnerOrSafe lock {
        bytes32 id = idOf(data);
        uint256 at = readyAt[id];
        if (at == 0) revert NotQueued(id);
        if (block.timestamp < at) revert TooEarly(at);
        if (block.timestamp > at + QUEUE_LIFE) revert QueueLapsed(at + QUEUE_LIFE);
        delete readyAt[id];
        (bool ok, bytes memory answer) = address(this).call(data);
        if (!ok) _bubble(answer);
    }

    /// @notice One owner is enough to stop; starting again is a widening.
    function freeze() external onlyOwnerOrSafe {
        frozen = true;
        epoch++;
        emit FrozenBy(msg.sender);
    }

    function unfreeze() external {
        _needs(false);
        frozen = false;
        emit Unfrozen();
    }

    /// @notice The dead-man switch: without this the agent's power lapses `termSeconds` after the last renewal.
    function renew() external onlySafe {
        expiry = uint64(block.timestamp + limits.termSeconds);
        emit Renewed(expiry);
    }

    // ------------------------------------------------------------------ settings
    /// @notice Zero takes the power away at once.
    function setAgent(address agent_) external {
        _needs(agent_ == address(0));
        if (agent_ == safe || agent_ == address(this) || _router[agent_]) revert BadSetting();
        agent = agent_;
        emit Changed(msg.data);
    }

    function setLimits(Limits calldata n) external {
        Limits memory o = limits;
        _needs(
            n.burst <= o.burst && n.ratePerDay <= o.ratePerDay && n.slackBps <= o.slackBps && n.divergenceBps <= o.divergenceBps
                && n.deadlineSeconds <= o.deadlineSeconds && n.termSeconds <= o.termSeconds && n.healthFloor >= o.healthFloor
        );
        if (
            n.slackBps > MOST_SLACK_BPS || n.divergenceBps > MOST_SLACK_BPS || n.deadlineSeconds > MOST_DEADLINE
                || n.termSeconds > MOST_TERM || n.healthFloor < LEAST_HEALTH
        ) revert BadSetting();
        _charge(spent, 0, o.burst, o.ratePerDay); // what has leaked so far leaked at the old rate
        limits = n;
        uint64 latest = uint64(block.timestamp + n.termSeconds);
        if (expiry > latest) expiry = latest;
        emit Changed(msg.data);
    }

    /// @notice Lists a token, or takes it off the list where `feed` is zero. Decimals are read from the contracts.
    function setToken(address token, address feed, uint32 maxAge) external {
        _needs(feed == address(0));
        if (feed == address(0)) {
            delete tokens[token];
        } else {
            _claim(token);
            _claim(feed);
            uint8 decimals = IERC20(token).decimals();
            uint8 feedDecimals = IFeed(feed).decimals();
            if (maxAge == 0 || decimals > 18 || feedDecimals > 18) revert BadSetting();
            tokens[token] = Token(feed, maxAge, decimals, feedDecimals);
        }
        emit Changed(msg.data);
    }

    /// @notice Lets two listed tokens be exchanged against each other, or no longer where `source` is zero.
    function setPair(address tokenA, address tokenB, address source, uint32 window, uint32 maxAge) external {
        _needs(source == address(0));
        if (tokenA >= tokenB) revert BadSetting();
        if (source == address(0)) {
            delete pairs[tokenA][tokenB];
        } else {
            if (tokens[tokenA].feed == address(0) || tokens[tokenB].feed == address(0)) revert BadSetting();
            if (source == tokens[tokenA].feed || source == tokens[tokenB].feed) revert BadSetting(); // not a second one
            uint8 decimals;
            if (window != 0) {
                IUniswapV3Pool pool = IUniswapV3Pool(source);
                if (window < LEAST_WINDOW || pool.token0() != tokenA || pool.token1() != tokenB) revert BadSetting();
            } else {
                decimals = IFeed(source).decimals();
                if (maxAge == 0 || decimals > 18) revert BadSetting();
            }
            pairs[tokenA][tokenB] = Pair(source, window, maxAge, decimals);
        }
        emit Changed(msg.data);
    }

    /// @notice Lets the agent call `selector` of `router`, paid as `mode` says; 0 takes it off the list.
    /// @dev What is called runs as the Gate, which holds nothing between calls. A token, a lending pool, a feed or the Safe
    /// would be another matter (the Gate has allowances there), so none of them can ever be a route, nor a route become one.
    function setRoute(address router, bytes4 selector, uint8 mode) external {
        _needs(mode == 0);
        if (mode > PUSH) revert BadSetting();
        if (mode != 0) {
            if (router == safe || router == address(this) || router == agent) revert BadSetting();
            if (_asset[router] || router.code.length == 0) revert BadSetting();
            _router[router] = true;
        }
        routes[router][selector] = mode;
        emit Changed(msg.data);
    }

    /// @notice The Aave V3 pool. Another pool is another set of reserves: it can be set once.
    function setLendingPool(address pool) external {
        _needs(false);
        if (lendingPool != address(0)) revert BadSetting();
        _claim(pool);
        lendingPool = pool;
        emit Changed(msg.data);
    }

    /// @notice What may be done with `asset` at the lending pool; a subset of what is allowed already narrows.
    function setReserve(address asset, address aToken, address debtToken, uint8 actions) external {
        Reserve memory old = reserves[asset];
        bool same = aToken == old.aToken && debtToken == old.debtToken;
        _needs(actions == 0 || (same && actions & ~old.actions == 0));
        if (actions > 15) revert BadSetting();
        if (actions == 0) {
            delete reserves[asset];
        } else {
            if (tokens[asset].feed == address(0)) revert BadSetting();
            if (!_standsFor(aToken, asset) || !_standsFor(debtToken, asset)) revert BadSetting();
            _claim(aToken);
            _claim(debtToken);
            reserves[asset] = Reserve(aToken, debtToken, actions);
        }
        emit Changed(msg.data);
    }

    /// @notice Gas money for the agent's account out of the Safe's WETH.
    function setGas(Gas calldata n) external {
        Gas memory o = gas;
        bool same = n.account == o.account && n.weth == o.weth;
        _needs(same && n.burst <= o.burst && n.ratePerDay <= o.ratePerDay && n.floatCap <= o.floatCap);
        if (n.weth != address(0)) _claim(n.weth);
        _charge(gasSpent, 0, o.burst, o.ratePerDay);
        gas = n;
        emit Changed(msg.data);
    }

    /// @notice The L2 sequencer's uptime feed, and how long after an outage prices are not believed.
    function setSequencer(address feed, uint32 grace) external {
        _needs(feed == sequencer && grace >= sequencerGrace);
        if (feed != address(0)) _claim(feed);
        sequencer = feed;
        sequencerGrace = grace;
        emit Changed(msg.data);
    }

    /// @notice Lets the agent offer what it may trade for others to settle, by the Offers contract of this Gate.
    function setOffers(address to) external {
        _needs(to == address(0));
        if (to != address(0)) _claim(to);
        offers = to;
        emit Changed(msg.data);
    }

    // ------------------------------------------------------------------ inside
    /// @dev Adds `amount` after letting the bucket leak since it was last touched. Rounds against the spender.
    function _charge(Bucket storage b, uint256 amount, uint256 burst, uint256 ratePerDay) internal returns (bool fits) {
        uint256 leaked = (ratePerDay * (block.timestamp - b.at)) / 1 days;
        uint256 level = b.level > leaked ? b.level - leaked : 0;
        level += amount;
        if (amount != 0 && level > burst) return false;
        b.level = uint128(level);
        b.at = uint64(block.timestamp);
        return true;
    }

    /// @dev Marks an address whose calls the Gate must only ever make itself.
    function _claim(address what) private {
        if (_router[what] || what == address(this) || what == safe) revert BadSetting();
        _asset[what] = true;
    }

    function _standsFor(address token, address asset) private view returns (bool) {
        IAaveToken t = IAaveToken(token);
        return t.UNDERLYING_ASSET_ADDRESS() == asset && t.POOL() == lendingPool;
    }

    function _bubble(bytes memory answer) internal pure {
        assembly ("memory-safe") {
            revert(add(answer, 32), mload(answer))
        }
    }
}
