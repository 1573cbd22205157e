// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.19;

import {IComet, IGateState, IMorpho, IMorphoOracle} from "./lenders.sol";
import {IERC20, ISafe} from "./interfaces.sol";
import {Tokens} from "./Tokens.sol";

/// @title What an agent's key may pay of a Safe's money into that Safe's own loans. UNAUDITED.
/// @notice The agent names a rule of the list, an amount and a deadline; this contract takes the tokens from the Safe and writes
/// the lender's calldata itself. The account paid into is the Safe's in every call, Morpho Blue's `data` is empty, so that it
/// calls nobody back, and nothing the agent says reaches a lender but the amount.
///
/// Why a contract beside the Gate, and not a verb of it. All that this one has are the allowances that the owners gave it, of the
/// tokens that repay and secure their loans; a flaw in it is those numbers and nothing else, and none of it touches what the
/// Gate lets be traded. A Zodiac Roles v2 modifier of its own stands in front, whose target it is: both must let a call pass.
///
/// Why the list is fixed when it is created. There is nothing to set: its address commits to its Gate and to every rule, and
/// another list is another contract, which has no allowance. The Gate's freeze, its term, its deadline rule and its delay are
/// this contract's: opened after the Gate is sealed, it lets nothing pass before the Gate's delay is over, and any one owner can
/// close it at once.
///
/// What a thief of the agent's key can do here: pay the Safe's tokens into the Safe's own loans, at most burst + ratePerDay * T
/// of a rule in any T days, never more than is owed, and never without a debt. Nothing leaves the Safe's ownership; collateral
/// comes out again as far as the lender's health rule lets it. A payment that leaves the account liquidatable reverts: else he
/// might pay into a lost account and earn the liquidator's premium of what he paid in.
contract Payments {
    using Tokens for address;

    error NotTheSafe(address caller);
    error NotAnOwner(address caller);
    error NotTheAgent(address caller);
    error NotThroughPayments(address to, uint256 value, uint8 operation);
    error BadRule(uint256 rule);
    error Closed();
    error NotOpenYet(uint256 opensAt);
    error GateNotSealed();
    error GateFrozen();
    error GateLapsed(uint256 expiry);
    error DeadlinePassed(uint256 deadline);
    error DeadlineTooFar(uint256 deadline, uint256 latest);
    error RuleNotListed(uint256 rule);
    error AmountOutOfRange(uint256 amount);
    error NothingOwed(uint256 rule);
    error OverPaymentBudget(uint256 rule, uint256 wanted, uint256 left);
    error ReceivedBelowAmount(uint256 received, uint256 amount);
    error AllowanceRemains(address token, address spender);
    error StillLiquidatable(uint256 rule);
    error Busy();

    event Opened(address indexed agent, uint256 opensAt);
    event ClosedBy(address indexed who);
    event Paid(uint256 indexed rule, address indexed asset, uint256 amount);

    /// @notice One way to pay: `action` SUPPLY (collateral) or REPAY of `asset`, at `lender` of `kind` COMET, or MORPHO in the market
    /// whose id is `market`. In any T days at most `burst` + `ratePerDay` * T base units of it pass.
    struct Rule {
        address lender;
        uint8 kind;
        uint8 action;
        address asset;
        bytes32 market;
        uint128 burst;
        uint128 ratePerDay;
    }

    struct Bucket {
        uint128 level;
        uint64 at;
    }

    uint8 public constant COMET = 1;
    uint8 public constant MORPHO = 2;
    uint8 public constant SUPPLY = 1;
    uint8 public constant REPAY = 8;
    /// Both lenders keep a debt in units of their own, and round at most once a side.
    uint256 private constant DUST = 2;
    /// Morpho's SharesMathLib and ConstantsLib.
    uint256 private constant VIRTUAL_SHARES = 1e6;
    uint256 private constant VIRTUAL_ASSETS = 1;
    uint256 private constant ORACLE_PRICE_SCALE = 1e36;
    uint256 private constant WAD = 1e18;
    uint256 private constant MOST_RULES = 32;

    /// @notice In storage, not immutable: all have the same runtime code.
    address public gate;
    address public safe;
    /// @notice Who may pay: the Roles modifier in front of this contract.
    address public agent;
    /// @notice From when on, in seconds of the chain's clock; 0: closed.
    uint64 public opensAt;
    mapping(uint256 => Bucket) public spent;
    Rule[] private _rules;
    bool private _entered;

    constructor(address gate_, Rule[] memory rules_) {
        (gate, safe) = (gate_, IGateState(gate_).safe());
        if (rules_.length == 0 || rules_.length > MOST_RULES) revert BadRule(rules_.length);
        for (uint256 i; i < rules_.length; i++) {
            if (!_fits(rules_[i])) revert BadRule(i);
            _rules.push(rules_[i]);
        }
    }

    modifier lock() {
        if (_entered) revert Busy();
        _entered = true;
        _;
        _entered = false;
    }

    // ------------------------------------------------------------------ the owners
    /// @notice Lets `agent_` pay: at once while the Gate is not sealed, after its delay from then on.
    function open(address agent_) external {
        if (msg.sender != safe) revert NotTheSafe(msg.sender);
        if (agent_ == address(0) || agent_ == safe || agent_ == address(this)) revert NotTheAgent(agent_);
        agent = agent_;
        IGateState g = IGateState(gate);
        opensAt = uint64(block.timestamp) + (g.isSealed() ? g.delay() : 0);
        emit Opened(agent_, opensAt);
    }

    /// @notice Takes the power away at once: the Safe, or any one owner.
    function close() external {
        if (msg.sender != safe && !ISafe(safe).isOwner(msg.sender)) revert NotAnOwner(msg.sender);
        opensAt = 0;
        emit ClosedBy(msg.sender);
    }

    // ------------------------------------------------------------------ the agent's one verb
    /// @notice Pays `amount` by the rule of that number into the Safe's own loan, of a debt no more than is owed.
    function pay(uint256 rule, uint256 amount, uint256 deadline) external {
        _pay(rule, amount, deadline);
    }

    /// @notice The same for a Zodiac modifier whose target this is. Only `pay`, without value.
    function execTransactionFromModule(address to, uint256 value, bytes calldata data, uint8 operation) external returns (bool) {
        if (
            to != address(this) || value != 0 || operation != 0 || data.length != 100 || bytes4(data[:4]) != Payments.pay.selector
        ) {
            revert NotThroughPayments(to, value, operation);
        }
        (uint256 rule, uint256 amount, uint256 deadline) = abi.decode(data[4:], (uint256, uint256, uint256));
        _pay(rule, amount, deadline);
        return true;
    }

    // ------------------------------------------------------------------ views
    function closed() external view returns (bool) {
        return opensAt == 0;
    }

    function count() external view returns (uint256) {
        return _rules.length;
    }

    function rules(uint256 rule) external view returns (Rule memory) {
        return _listed(rule);
    }

    /// @notice What of the rule's budget is left now, in base units of its asset.
    function left(uint256 rule) public view returns (uint256) {
        Rule memory r = _listed(rule);
        uint256 level = _level(rule, r);
        return level < r.burst ? r.burst - level : 0;
    }

    // ------------------------------------------------------------------ pay
    function _pay(uint256 rule, uint256 amount, uint256 deadline) private lock {
        _admit(deadline);
        Rule memory r = _listed(rule);
        if (amount == 0 || amount > type(uint128).max) revert AmountOutOfRange(amount);
        uint256 paid = r.kind == COMET ? _toComet(rule, r, amount) : _toMorpho(rule, r, amount);
        emit Paid(rule, r.asset, paid);
    }

    function _toComet(uint256 rule, Rule memory r, uint256 amount) private returns (uint256) {
        IComet comet = IComet(r.lender);
        uint256 owed = comet.borrowBalanceOf(safe);
        if (owed == 0) revert NothingOwed(rule);
        bool repays = r.action == REPAY;
        if (repays && amount > owed) amount = owed;
        uint256 had = repays ? 0 : _cometCollateral(comet, r.asset);
        uint256 held = _begin(rule, r, amount);
        comet.supplyTo(safe, r.asset, amount);
        _end(r, held);
        if (repays) _needs(owed - comet.borrowBalanceOf(safe) + DUST, amount);
        else _needs(_cometCollateral(comet, r.asset) - had, amount);
        if (comet.isLiquidatable(safe)) revert StillLiquidatable(rule);
        return amount;
    }

    function _toMorpho(uint256 rule, Rule memory r, uint256 amount) private returns (uint256) {
        IMorpho morpho = IMorpho(r.lender);
        IMorpho.MarketParams memory p = morpho.idToMarketParams(r.market);
        morpho.accrueInterest(p); // so that what is owed is what the call will find
        (uint256 owed, uint256 shares, uint256 had) = _morphoDebt(morpho, r.market);
        if (shares == 0) revert NothingOwed(rule);
        bool repays = r.action == REPAY;
        // By its shares where it is paid whole: by assets the rounding would underflow, or leave a share.
        bool whole = repays && amount >= owed;
        if (whole) amount = owed;
        uint256 held = _begin(rule, r, amount);
        if (whole) morpho.repay(p, 0, shares, safe, "");
        else if (repays) morpho.repay(p, amount, 0, safe, "");
        else morpho.supplyCollateral(p, amount, safe, "");
        _end(r, held);
        (uint256 owes,, uint256 has) = _morphoDebt(morpho, r.market);
        if (repays) _needs(owed - owes + DUST, amount);
        else _needs(has - had, amount);
        // Without a debt no price is asked for, as Morpho itself asks for none: an oracle that reverts keeps nobody in debt.
        if (owes != 0 && owes > (has * IMorphoOracle(p.oracle).price() / ORACLE_PRICE_SCALE) * p.lltv / WAD) {
            revert StillLiquidatable(rule);
        }
        return amount;
    }

    function _admit(uint256 deadline) private view {
        if (msg.sender != agent) revert NotTheAgent(msg.sender);
        if (opensAt == 0) revert Closed();
        if (block.timestamp < opensAt) revert NotOpenYet(opensAt);
        IGateState g = IGateState(gate);
        if (!g.isSealed()) revert GateNotSealed();
        if (g.frozen()) revert GateFrozen();
        if (block.timestamp > g.expiry()) revert GateLapsed(g.expiry());
        if (block.timestamp > deadline) revert DeadlinePassed(deadline);
        (,,,, uint32 ahead,,) = g.limits();
        uint256 latest = block.timestamp + ahead;
        if (deadline > latest) revert DeadlineTooFar(deadline, latest);
    }

    /// @dev Charges the rule's budget, takes exactly `amount` from the Safe and lets the lender take it. What was here before is
    /// nobody's business: `held`.
    function _begin(uint256 rule, Rule memory r, uint256 amount) private returns (uint256 held) {
        uint256 level = _level(rule, r) + amount;
        if (level > r.burst) revert OverPaymentBudget(rule, amount, left(rule));
        spent[rule] = Bucket(uint128(level), uint64(block.timestamp));
        held = r.asset.held();
        r.asset.pull(safe, amount);
        _exactly(r.asset.held() - held, amount);
        r.asset.approve(r.lender, amount);
    }

    function _end(Rule memory r, uint256 held) private {
        if (IERC20(r.asset).allowance(address(this), r.lender) != 0) r.asset.approve(r.lender, 0);
        if (IERC20(r.asset).allowance(address(this), r.lender) != 0) revert AllowanceRemains(r.asset, r.lender);
        r.asset.send(safe, r.asset.held() - held);
    }

    // ------------------------------------------------------------------ inside
    /// @dev Whether the lender knows the market, and the asset in the part that the rule gives it.
    function _fits(Rule memory r) private view returns (bool) {
        if (r.burst == 0 || r.lender.code.length == 0 || r.asset.code.length == 0) return false;
        if (r.action != SUPPLY && r.action != REPAY) return false;
        if (r.lender == r.asset || r.lender == safe || r.asset == safe) return false;
        if (r.kind == COMET) return r.market == 0 && (IComet(r.lender).baseToken() == r.asset) == (r.action == REPAY);
        if (r.kind != MORPHO) return false;
        IMorpho.MarketParams memory p = IMorpho(r.lender).idToMarketParams(r.market);
        if (keccak256(abi.encode(p)) != r.market) return false;
        return r.asset == (r.action == REPAY ? p.loanToken : p.collateralToken);
    }

    function _listed(uint256 rule) private view returns (Rule memory) {
        if (rule >= _rules.length) revert RuleNotListed(rule);
        return _rules[rule];
    }

    /// @dev A bucket that leaks: a day that ends at midnight would let twice its budget pass around midnight.
    function _level(uint256 rule, Rule memory r) private view returns (uint256) {
        Bucket memory b = spent[rule];
        uint256 leaked = (uint256(r.ratePerDay) * (block.timestamp - b.at)) / 1 days;
        return b.level > leaked ? b.level - leaked : 0;
    }

    function _cometCollateral(IComet comet, address asset) private view returns (uint256 balance) {
        (balance,) = comet.userCollateral(safe, asset);
    }

    function _morphoDebt(IMorpho morpho, bytes32 id) private view returns (uint256 owed, uint256 shares, uint256 collateral) {
        (, shares, collateral) = morpho.position(id, safe);
        (,, uint256 assets, uint256 all,,) = morpho.market(id);
        uint256 d = all + VIRTUAL_SHARES;
        owed = (shares * (assets + VIRTUAL_ASSETS) + d - 1) / d;
    }

    function _needs(uint256 received, uint256 amount) private pure {
        if (received < amount) revert ReceivedBelowAmount(received, amount);
    }

    function _exactly(uint256 received, uint256 amount) private pure {
        if (received != amount) revert ReceivedBelowAmount(received, amount);
    }
}
