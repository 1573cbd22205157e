// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.19;

import {IAavePool, IAaveToken, IERC20, ISafe} from "./interfaces.sol";
import {IGateState} from "./lenders.sol";
import {Tokens} from "./Tokens.sol";
import {IJug, IMakerJoin, IVat} from "./vaults.sol";

/// @title What an agent's key may pay of a Safe's money into that Safe's own loans at further lenders. UNAUDITED.
/// @notice What Payments is to Compound III and Morpho Blue, this contract is to pools of Aave V3's kind (Spark's, or a second
/// market of Aave) and to vaults at Maker (Sky): the agent names a rule, an amount and a deadline, and this contract takes the
/// tokens from the Safe and writes the calls itself. Why a list that is fixed when it is created, why allowances of its own, and
/// why a Roles modifier of its own in front: as said there. It is a contract beside that one, so that neither changes the other.
///
/// Aave's kind: `supply` and `repay` on behalf of the Safe, in no other name. Maker: what the adapter takes is booked for this
/// contract in the Vat and goes from there into the one vault of the rule by `frob`, with `dink` or `dart` of one sign alone:
/// collateral in, debt off. There is no call here that draws, frees, borrows or withdraws.
///
/// What a thief of the agent's key can do here: pay the Safe's tokens into the Safe's own loans, at most burst + ratePerDay * T
/// of a rule in any T days, never more than is owed, never without a debt, and no collateral that secures nothing. A payment
/// that leaves the account liquidatable reverts: else he might pay into a lost account and earn the liquidator's premium of
/// what he paid in. Maker's price is as old as the last poke; its fee is accrued here before anything is judged.
///
/// Whose vault it is, the Vat does not tell: the owners name the urn, and compare it with what holds it.
contract FurtherPayments {
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
    error NoCollateral(uint256 rule);
    error StillLiquidatable(uint256 rule);
    error Busy();

    event Opened(address indexed agent, uint256 opensAt);
    event ClosedBy(address indexed who);
    event Paid(uint256 indexed rule, address indexed asset, uint256 amount);

    /// @notice One way to pay: `action` SUPPLY (collateral) or REPAY of `asset`. In any T days at most `burst` + `ratePerDay` * T
    /// base units of it pass.
    /// AAVE: `lender` is the pool, `account` the asset's aToken (SUPPLY) or variable debt token (REPAY) there; `market`, `fees` 0.
    /// MAKER: `lender` is the adapter of `asset`, `market` the ilk, `account` the urn, `fees` the Jug.
    struct Rule {
        address lender;
        uint8 kind;
        uint8 action;
        address asset;
        address account;
        bytes32 market;
        address fees;
        uint128 burst;
        uint128 ratePerDay;
    }

    struct Bucket {
        uint128 level;
        uint64 at;
    }

    uint8 public constant AAVE = 3;
    uint8 public constant MAKER = 4;
    uint8 public constant SUPPLY = 1;
    uint8 public constant REPAY = 8;
    uint256 private constant VARIABLE_RATE = 2;
    /// Aave rounds scaled balances at most once a side.
    uint256 private constant DUST = 2;
    uint256 private constant WAD = 1e18;
    uint256 private constant RAY = 1e27;
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
        bool pays = data.length == 100 && bytes4(data[:4]) == FurtherPayments.pay.selector;
        if (!pays || to != address(this) || value != 0 || operation != 0) revert NotThroughPayments(to, value, operation);
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
        uint256 paid;
        if (r.kind == AAVE) paid = _toAave(rule, r, amount);
        else paid = r.action == REPAY ? _wipe(rule, r, amount) : _lock(rule, r, amount);
        emit Paid(rule, r.asset, paid);
    }

    function _toAave(uint256 rule, Rule memory r, uint256 amount) private returns (uint256) {
        IAavePool pool = IAavePool(r.lender);
        (uint256 debt, uint256 before) = _standing(pool);
        uint256 had = IERC20(r.account).balanceOf(safe);
        bool repays = r.action == REPAY;
        if ((repays ? had : debt) == 0) revert NothingOwed(rule);
        if (repays && amount > had) amount = had;
        uint256 held = _begin(rule, r, amount);
        if (repays) pool.repay(r.asset, amount, VARIABLE_RATE, safe);
        else pool.supply(r.asset, amount, safe, 0);
        _end(r, held);
        uint256 has = IERC20(r.account).balanceOf(safe);
        _needs((repays ? had - has : has - had) + DUST, amount);
        (, uint256 health) = _standing(pool);
        // Supplied where the asset secures nothing (switched off, isolated, loan-to-value 0), it would be locked up to no end.
        if (!repays && health <= before) revert NoCollateral(rule);
        if (health < WAD) revert StillLiquidatable(rule);
        return amount;
    }

    /// @dev Debt off the vault: what the adapter books pays so much art as it covers at today's rate.
    function _wipe(uint256 rule, Rule memory r, uint256 amount) private returns (uint256) {
        IVat vat = IVat(IMakerJoin(r.lender).vat());
        IJug(r.fees).drip(r.market);
        (, uint256 rate,,,) = vat.ilks(r.market); // not the Jug's answer: what it said too high would stay in the Vat, nobody's
        (, uint256 art) = vat.urns(r.market, r.account);
        if (art == 0) revert NothingOwed(rule);
        uint256 owed = (art * rate + RAY - 1) / RAY;
        bool whole = amount >= owed;
        if (whole) amount = owed;
        uint256 dart = whole ? art : amount * RAY / rate;
        if (dart == 0) revert AmountOutOfRange(amount);
        _join(rule, r, amount);
        vat.frob(r.market, r.account, address(this), address(this), 0, -int256(dart));
        (, uint256 owes) = vat.urns(r.market, r.account);
        _needs(art - owes, dart);
        _beyondLiquidation(rule, r, vat);
        return amount;
    }

    /// @dev Collateral into the vault.
    function _lock(uint256 rule, Rule memory r, uint256 amount) private returns (uint256) {
        IMakerJoin adapter = IMakerJoin(r.lender);
        IVat vat = IVat(adapter.vat());
        IJug(r.fees).drip(r.market);
        (uint256 ink, uint256 art) = vat.urns(r.market, r.account);
        if (art == 0) revert NothingOwed(rule);
        uint256 dink = amount * 10 ** (18 - adapter.dec());
        uint256 booked = vat.gem(r.market, address(this));
        _join(rule, r, amount);
        _needs(vat.gem(r.market, address(this)) - booked, dink);
        vat.frob(r.market, r.account, address(this), address(this), int256(dink), 0);
        (uint256 has,) = vat.urns(r.market, r.account);
        _needs(has - ink, dink);
        _beyondLiquidation(rule, r, vat);
        return amount;
    }

    function _join(uint256 rule, Rule memory r, uint256 amount) private {
        uint256 held = _begin(rule, r, amount);
        IMakerJoin(r.lender).join(address(this), amount);
        _end(r, held);
    }

    /// @dev The rule of Dog.bark, on figures whose fee is accrued.
    function _beyondLiquidation(uint256 rule, Rule memory r, IVat vat) private view {
        (, uint256 rate, uint256 spot,,) = vat.ilks(r.market);
        (uint256 ink, uint256 art) = vat.urns(r.market, r.account);
        if (art * rate > ink * spot) revert StillLiquidatable(rule);
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
        uint256 came = r.asset.held() - held;
        if (came != amount) revert ReceivedBelowAmount(came, amount);
        r.asset.approve(r.lender, amount);
    }

    function _end(Rule memory r, uint256 held) private {
        if (IERC20(r.asset).allowance(address(this), r.lender) != 0) r.asset.approve(r.lender, 0);
        if (IERC20(r.asset).allowance(address(this), r.lender) != 0) revert AllowanceRemains(r.asset, r.lender);
        r.asset.send(safe, r.asset.held() - held);
    }

    // ------------------------------------------------------------------ inside
    /// @dev Whether the lender knows the account, and the asset in the part that the rule gives it.
    function _fits(Rule memory r) private view returns (bool) {
        if (r.burst == 0 || r.lender.code.length == 0 || r.asset.code.length == 0) return false;
        if (r.action != SUPPLY && r.action != REPAY) return false;
        if (r.lender == r.asset || r.lender == safe || r.asset == safe || r.account == address(0)) return false;
        if (r.kind == AAVE) {
            if (r.market != 0 || r.fees != address(0) || r.account.code.length == 0) return false;
            return IAaveToken(r.account).UNDERLYING_ASSET_ADDRESS() == r.asset && IAaveToken(r.account).POOL() == r.lender;
        }
        if (r.kind != MAKER || r.fees.code.length == 0) return false;
        IMakerJoin adapter = IMakerJoin(r.lender);
        address vat = adapter.vat();
        (, uint256 rate,,,) = IVat(vat).ilks(r.market);
        if (rate == 0 || IJug(r.fees).vat() != vat) return false;
        if (r.action == REPAY) return adapter.dai() == r.asset;
        return adapter.gem() == r.asset && adapter.ilk() == r.market && adapter.dec() <= 18;
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

    /// @dev Debt in the pool's own unit, and its health factor in 1e18; without debt it answers the largest number.
    function _standing(IAavePool pool) private view returns (uint256 debt, uint256 health) {
        (, debt,,,, health) = pool.getUserAccountData(safe);
    }

    function _needs(uint256 received, uint256 amount) private pure {
        if (received < amount) revert ReceivedBelowAmount(received, amount);
    }
}
