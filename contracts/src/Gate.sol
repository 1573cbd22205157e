// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.19;

import {IAavePool, IERC20, IOffers, IWETH} from "./interfaces.sol";
import {Prices} from "./Prices.sol";
import {Settings} from "./Settings.sol";
import {Tokens} from "./Tokens.sol";

/// @title The one door between an agent's key and a Safe's money. UNAUDITED.
/// @notice The agent asks; the Gate takes an exact amount from the Safe, makes one listed call with it, and reverts unless
/// what came back is worth the oracle floor and lies in the Safe.
///
/// Why allowances and not a module. A module's calls run as the Safe, so a flaw in it is the whole Safe: owners, modules,
/// every token, every signature. The Gate is enabled nowhere. All it has are ERC-20 allowances the owners gave it for listed
/// tokens, aTokens and debt delegations, each a number they chose and can read and revoke with any wallet; a flaw in the Gate
/// is those numbers and nothing else. Calldata chosen by the agent runs as the Gate, which owns nothing between calls, so
/// approve, permit, delegation, module or owner changes and LP positions of the Safe are out of its reach by construction.
/// No guard is relied on, there is no delegatecall anywhere, and no way to upgrade.
///
/// Why what came back is counted here and forwarded, rather than read off the Safe's balance. Something else may be due to
/// the Safe (an order of its own that anybody may settle, a claim anybody may make), and an attacker could have it arrive
/// in the middle of his trade and count it as its proceeds. So the recipient of every route must be the Gate, and the Gate
/// pays the Safe: tokens sent anywhere else, the Safe included, do not count.
///
/// In front of it stands a Zodiac Roles v2 modifier whose target is the Gate (`execTransactionFromModule`): both must fail
/// before anything passes. A Roles modifier enabled on the Safe itself would be a second door beside this one.
///
/// Loss. A trade returns at least (1 - slack) of its value at the worse of two sources, and the value of all trades in any
/// window of T days is at most burst + ratePerDay * T. Orders for others to settle are charged when they are opened, lie in
/// a contract without any call of the agent's choosing (Offers), and are held to the same floor when they are settled, up
/// to a deadline later: a window of T settles what one of T and that deadline was charged. Whoever has the agent's key
/// takes no more than that times the slack and the error of the feeds, and the gas money; see keys/scope.py for the number.
contract Gate is Settings {
    using Tokens for address;

    // ------------------------------------------------------------------ rules, as errors
    error IsFrozen();
    error Lapsed(uint256 expiry);
    error DeadlinePassed(uint256 deadline);
    error DeadlineTooFar(uint256 deadline, uint256 latest);
    error TokenNotListed(address token);
    error PairNotListed(address tokenIn, address tokenOut);
    error RouteNotListed(address router, bytes4 selector);
    error ReserveNotListed(address asset, uint8 action);
    error AmountOutOfRange(uint256 amount);
    error SourcesDisagree(uint256 first, uint256 second);
    error MinimumBelowFloor(uint256 minimum, uint256 floor);
    error ReceivedBelowMinimum(uint256 received, uint256 minimum);
    error OverBudget(uint256 wanted, uint256 left);
    error OverGasBudget(uint256 wanted, uint256 left);
    error FloatFull(uint256 balance, uint256 cap);
    error AllowanceRemains(address token, address spender);
    error HealthLowered(uint256 before, uint256 afterwards, uint256 floor);
    error NotThroughGate(address to, uint256 value, uint8 operation);
    error UnexpectedEther(address sender);

    event Traded(address indexed tokenIn, address indexed tokenOut, uint256 paid, uint256 received, uint256 usd);
    event Lent(uint8 indexed action, address indexed asset, uint256 amount, uint256 health);
    event Refuelled(uint256 amount);

    /// @notice An exchange: `amountIn` of `tokenIn` for at least `minimumOut` of `tokenOut`, through `router.call(data)`,
    /// whose recipient has to be this contract. `deadline` in seconds of the chain's clock.
    struct Trade {
        address tokenIn;
        address tokenOut;
        uint256 amountIn;
        uint256 minimumOut;
        uint256 deadline;
        address router;
        bytes data;
    }

    uint8 public constant SUPPLY = 1;
    uint8 public constant WITHDRAW = 2;
    uint8 public constant BORROW = 4;
    uint8 public constant REPAY = 8;
    uint256 private constant VARIABLE_RATE = 2;
    uint256 private constant BPS = 10_000;
    /// Aave rounds scaled balances to the nearest unit, at most once a side.
    uint256 private constant DUST = 2;

    constructor(address safe_) Settings(safe_) {}

    /// @dev Ether comes from unwrapping gas money and from nobody else.
    receive() external payable {
        if (msg.sender != gas.weth) revert UnexpectedEther(msg.sender);
    }

    // ------------------------------------------------------------------ the agent's verbs
    function trade(Trade calldata t) external {
        _trade(t);
    }

    /// @notice `action` is one of SUPPLY, WITHDRAW, BORROW, REPAY on the Safe's own account at the lending pool.
    function lend(uint8 action, address asset, uint256 amount, uint256 deadline) external {
        _lend(action, asset, amount, deadline);
    }

    /// @notice Turns `amount` of the Safe's WETH into gas money of the agent's account.
    function refuel(uint256 amount, uint256 deadline) external {
        _refuel(amount, deadline);
    }

    /// @notice An order for others to settle, of the same pairs, floor, budget and deadline as a trade.
    function offer(IOffers.Order calldata o) external {
        _offer(o);
    }

    /// @notice Ends the order that sells `token`: it loosens nothing, so neither freeze nor lapse forbids it.
    function endOffer(address token, uint256 deadline) external {
        _endOffer(token, deadline);
    }

    /// @notice The same five for a Zodiac modifier whose target is the Gate. Only calls of the Gate itself, without value.
    function execTransactionFromModule(address to, uint256 value, bytes calldata data, uint8 operation) external returns (bool) {
        if (to != address(this) || value != 0 || operation != 0 || data.length < 4) {
            revert NotThroughGate(to, value, operation);
        }
        bytes4 verb = bytes4(data[:4]);
        if (verb == Gate.trade.selector) {
            _trade(abi.decode(data[4:], (Trade)));
        } else if (verb == Gate.lend.selector) {
            (uint8 action, address asset, uint256 amount, uint256 deadline) =
                abi.decode(data[4:], (uint8, address, uint256, uint256));
            _lend(action, asset, amount, deadline);
        } else if (verb == Gate.refuel.selector) {
            (uint256 amount, uint256 deadline) = abi.decode(data[4:], (uint256, uint256));
            _refuel(amount, deadline);
        } else if (verb == Gate.offer.selector) {
            _offer(abi.decode(data[4:], (IOffers.Order)));
        } else if (verb == Gate.endOffer.selector) {
            (address token, uint256 deadline) = abi.decode(data[4:], (address, uint256));
            _endOffer(token, deadline);
        } else {
            revert RouteNotListed(to, verb);
        }
        return true;
    }

    // ------------------------------------------------------------------ views
    /// @notice The least `tokenOut` that `amountIn` of `tokenIn` must bring now, and its value in 1e18 USD.
    function floorOf(address tokenIn, address tokenOut, uint256 amountIn) public view returns (uint256 floor, uint256 usd) {
        if (amountIn == 0 || amountIn > type(uint128).max) revert AmountOutOfRange(amountIn);
        uint256 first;
        (first, usd) = _byFeeds(tokenIn, tokenOut, amountIn);
        uint256 second = _byPair(tokenIn, tokenOut, amountIn);
        (uint256 low, uint256 high) = first < second ? (first, second) : (second, first);
        if ((high - low) * BPS > low * limits.divergenceBps) revert SourcesDisagree(first, second);
        floor = _up(high * (BPS - limits.slackBps), BPS);
    }

    /// @notice What of the budget is left now, in 1e18 USD.
    function budgetLeft() external view returns (uint256) {
        return _left(spent, limits.burst, limits.ratePerDay);
    }

    // ------------------------------------------------------------------ trade
    function _trade(Trade memory t) private lock {
        _admit(t.deadline);
        bytes4 verb = bytes4(t.data);
        uint8 mode = routes[t.router][verb];
        if (mode == 0 || t.data.length < 4) revert RouteNotListed(t.router, verb);
        uint256 usd = _priced(t.tokenIn, t.tokenOut, t.amountIn, t.minimumOut);
        _spend(usd);

        uint256 had = IERC20(t.tokenOut).balanceOf(safe);
        (uint256 back, uint256 received) = _exchange(t, mode);
        if (received < t.minimumOut) revert ReceivedBelowMinimum(received, t.minimumOut);
        t.tokenIn.send(safe, back);
        t.tokenOut.send(safe, received);
        uint256 came = IERC20(t.tokenOut).balanceOf(safe) - had;
        if (came < received) revert ReceivedBelowMinimum(came, received);
        emit Traded(t.tokenIn, t.tokenOut, t.amountIn - back, received, usd);
    }

    /// @dev What is left of the tokens taken, and what came of the others. What was here before belongs to neither.
    function _exchange(Trade memory t, uint8 mode) private returns (uint256 back, uint256 received) {
        uint256 heldIn = t.tokenIn.held();
        uint256 heldOut = t.tokenOut.held();
        _take(t.tokenIn, t.amountIn);
        if (mode == PUSH) t.tokenIn.send(t.router, t.amountIn);
        else t.tokenIn.approve(t.router, t.amountIn);
        (bool ok, bytes memory answer) = t.router.call(t.data);
        if (!ok) _bubble(answer);
        _noAllowance(t.tokenIn, t.router);
        back = t.tokenIn.held() - heldIn;
        received = t.tokenOut.held() - heldOut;
    }

    // ------------------------------------------------------------------ offer
    /// @dev Charged a fiftieth above today's value: an order whose value has risen beyond what was charged is not settled.
    /// What was charged does not come back with an order that ends unfilled: the bucket may have leaked it already.
    function _offer(IOffers.Order memory o) private lock {
        _admit(o.validTo);
        address to = offers;
        if (to == address(0)) revert RouteNotListed(to, Gate.offer.selector);
        uint256 usd = _priced(o.sellToken, o.buyToken, o.sellAmount, o.buyAmount);
        usd += usd / 50;
        _spend(usd);
        _take(o.sellToken, o.sellAmount);
        o.sellToken.send(to, o.sellAmount);
        IOffers(to).open(o, usd);
    }

    function _endOffer(address token, uint256 deadline) private lock {
        if (msg.sender != agent) revert NotTheAgent(msg.sender);
        if (block.timestamp > deadline) revert DeadlinePassed(deadline);
        IOffers(offers).end(token);
    }

    // ------------------------------------------------------------------ lend
    /// @dev The Gate writes this calldata itself. Supplying and repaying only lower risk: they need no price and no budget,
    /// so that a rescue is never stopped by a spent budget or a stale feed.
    function _lend(uint8 action, address asset, uint256 amount, uint256 deadline) private lock {
        _admit(deadline);
        Reserve memory r = reserves[asset];
        bool single = action == SUPPLY || action == WITHDRAW || action == BORROW || action == REPAY;
        if (!single || r.actions & action == 0) revert ReserveNotListed(asset, action);
        if (amount == 0 || amount > type(uint128).max) revert AmountOutOfRange(amount);
        uint256 before = _health();
        if (action == SUPPLY) {
            _supply(asset, r.aToken, amount);
        } else if (action == REPAY) {
            _repay(asset, r.debtToken, amount);
        } else {
            _spend(_usd(asset, amount));
            if (action == WITHDRAW) _withdraw(asset, r.aToken, amount);
            else _borrow(asset, amount);
        }
        uint256 afterwards = _health();
        uint256 floor = limits.healthFloor;
        if (afterwards < before && afterwards < floor) revert HealthLowered(before, afterwards, floor);
        emit Lent(action, asset, amount, afterwards);
    }

    function _supply(address asset, address aToken, uint256 amount) private {
        uint256 had = IERC20(aToken).balanceOf(safe);
        _take(asset, amount);
        asset.approve(lendingPool, amount);
        IAavePool(lendingPool).supply(asset, amount, safe, 0);
        _noAllowance(asset, lendingPool);
        uint256 came = IERC20(aToken).balanceOf(safe) - had;
        if (came + DUST < amount) revert ReceivedBelowMinimum(came, amount);
    }

    function _withdraw(address asset, address aToken, uint256 amount) private {
        uint256 held = asset.held();
        aToken.pull(safe, amount);
        IAavePool(lendingPool).withdraw(asset, type(uint256).max, address(this));
        uint256 came = asset.held() - held;
        if (came + DUST < amount) revert ReceivedBelowMinimum(came, amount);
        asset.send(safe, came);
    }

    function _borrow(address asset, uint256 amount) private {
        uint256 held = asset.held();
        IAavePool(lendingPool).borrow(asset, amount, VARIABLE_RATE, 0, safe);
        uint256 came = asset.held() - held;
        if (came < amount) revert ReceivedBelowMinimum(came, amount);
        asset.send(safe, came);
    }

    function _repay(address asset, address debtToken, uint256 amount) private {
        uint256 owed = IERC20(debtToken).balanceOf(safe);
        uint256 held = asset.held();
        _take(asset, amount);
        asset.approve(lendingPool, amount);
        IAavePool(lendingPool).repay(asset, amount, VARIABLE_RATE, safe);
        _noAllowance(asset, lendingPool);
        uint256 back = asset.held() - held;
        asset.send(safe, back);
        uint256 less = owed - IERC20(debtToken).balanceOf(safe);
        if (less + DUST < amount - back) revert ReceivedBelowMinimum(less, amount - back);
    }

    /// @dev Without debt Aave answers the largest number.
    function _health() private view returns (uint256 health) {
        (,,,,, health) = IAavePool(lendingPool).getUserAccountData(safe);
    }

    // ------------------------------------------------------------------ refuel
    function _refuel(uint256 amount, uint256 deadline) private lock {
        _admit(deadline);
        Gas memory g = gas;
        if (amount == 0 || amount > type(uint96).max) revert AmountOutOfRange(amount);
        if (g.account.balance + amount > g.floatCap) revert FloatFull(g.account.balance, g.floatCap);
        if (!_charge(gasSpent, amount, g.burst, g.ratePerDay)) {
            revert OverGasBudget(amount, _left(gasSpent, g.burst, g.ratePerDay));
        }
        _take(g.weth, amount);
        IWETH(g.weth).withdraw(amount);
        (bool ok, bytes memory answer) = g.account.call{value: amount}("");
        if (!ok) _bubble(answer);
        emit Refuelled(amount);
    }

    // ------------------------------------------------------------------ the rules every verb begins with
    function _admit(uint256 deadline) private view {
        if (msg.sender != agent) revert NotTheAgent(msg.sender);
        if (!isSealed) revert NotSealed();
        if (frozen) revert IsFrozen();
        if (block.timestamp > expiry) revert Lapsed(expiry);
        if (block.timestamp > deadline) revert DeadlinePassed(deadline);
        uint256 latest = block.timestamp + limits.deadlineSeconds;
        if (deadline > latest) revert DeadlineTooFar(deadline, latest);
    }

    /// @dev The value of what is sold, where at least the floor is asked for it.
    function _priced(address tokenIn, address tokenOut, uint256 amountIn, uint256 minimum) private view returns (uint256) {
        (uint256 floor, uint256 usd) = floorOf(tokenIn, tokenOut, amountIn);
        if (minimum < floor) revert MinimumBelowFloor(minimum, floor);
        return usd;
    }

    function _spend(uint256 usd) private {
        Limits memory l = limits;
        if (!_charge(spent, usd, l.burst, l.ratePerDay)) revert OverBudget(usd, _left(spent, l.burst, l.ratePerDay));
    }

    /// @dev A token that takes a fee, or is short, does not pass.
    function _take(address token, uint256 amount) private {
        uint256 held = token.held();
        token.pull(safe, amount);
        uint256 came = token.held() - held;
        if (came != amount) revert ReceivedBelowMinimum(came, amount);
    }

    function _noAllowance(address token, address spender) private {
        if (IERC20(token).allowance(address(this), spender) != 0) token.approve(spender, 0);
        if (IERC20(token).allowance(address(this), spender) != 0) revert AllowanceRemains(token, spender);
    }

    // ------------------------------------------------------------------ prices
    /// @dev 1e18 USD a whole token.
    function _price(address token) private view returns (uint256 price, uint256 unit) {
        Token memory k = tokens[token];
        if (k.feed == address(0)) revert TokenNotListed(token);
        if (sequencer != address(0)) Prices.requireSequencer(sequencer, sequencerGrace);
        price = Prices.read(k.feed, k.maxAge) * 10 ** (18 - k.feedDecimals);
        unit = 10 ** k.decimals;
    }

    function _usd(address token, uint256 amount) private view returns (uint256) {
        (uint256 price, uint256 unit) = _price(token);
        return _up(amount * price, unit);
    }

    function _byFeeds(address tokenIn, address tokenOut, uint256 amountIn) private view returns (uint256 out, uint256 usd) {
        (uint256 priceIn, uint256 unitIn) = _price(tokenIn);
        (uint256 priceOut, uint256 unitOut) = _price(tokenOut);
        usd = _up(amountIn * priceIn, unitIn);
        out = _up(usd * unitOut, priceOut);
    }

    function _byPair(address tokenIn, address tokenOut, uint256 amountIn) private view returns (uint256) {
        bool fromLower = tokenIn < tokenOut;
        Pair memory p = fromLower ? pairs[tokenIn][tokenOut] : pairs[tokenOut][tokenIn];
        if (p.source == address(0)) revert PairNotListed(tokenIn, tokenOut);
        if (p.window != 0) return Prices.twap(p.source, p.window, amountIn, fromLower);
        uint256 price = Prices.read(p.source, p.maxAge);
        uint256 unitIn = 10 ** tokens[tokenIn].decimals;
        uint256 unitOut = 10 ** tokens[tokenOut].decimals;
        uint256 one = 10 ** p.decimals;
        if (fromLower) return _up(amountIn * price * unitOut, one * unitIn);
        return _up(amountIn * unitOut * one, price * unitIn);
    }

    function _left(Bucket memory b, uint256 burst, uint256 ratePerDay) private view returns (uint256) {
        uint256 leaked = (ratePerDay * (block.timestamp - b.at)) / 1 days;
        uint256 level = b.level > leaked ? b.level - leaked : 0;
        return level < burst ? burst - level : 0;
    }

    function _up(uint256 a, uint256 b) private pure returns (uint256) {
        return (a + b - 1) / b;
    }
}
