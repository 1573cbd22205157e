// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.19;

import {IERC20, IGate, IOffers, ISafe, ISettlement} from "./interfaces.sol";
import {Tokens} from "./Tokens.sol";

/// @title Where what a Safe offers others to settle lies until it is settled or comes back. UNAUDITED.
/// @notice The owner, by EIP-1271, of the CoW Protocol orders that a Gate opens under an agent's key. It is given an order's
/// fields and computes the digest itself; no UID, no digest and no signature ever comes from outside.
///
/// Why an owner of its own, and not the Safe. An order of the Safe takes the Safe's signature, or a call made as the Safe: a
/// module, whose flaw is the whole wallet. And the vault relayer's allowance would be the Safe's, good for any other order
/// that anybody can make it sign. Here the tokens of one order lie apart, the relayer may take that order's amount and
/// nothing else, and what is here can go two ways only: to the settlement contract at the order's own limit, or back to the
/// Safe. There is no call of the agent's choosing in this contract, no delegatecall, no setting and no way to upgrade.
///
/// Why the floor is asked for again. A limit price that was fair when it was made is an option for whoever may settle it
/// until it lapses. The settlement contract asks `isValidSignature` at every settlement, so the Gate's oracle floor, the
/// value charged to its budget, its freeze, its term and its agent are all looked at then: each fill brings the Safe what a trade at
/// that moment would have to bring, and all fills together are worth no more than was charged.
///
/// What is the same in every order: the receiver is the Safe, the fee zero, the balances plain ERC-20, and the app data the
/// empty document, since a document can name hooks (calls made around the settlement) and partners' fees.
contract Offers is IOffers {
    using Tokens for address;

    error NotTheGate(address caller);
    error MayNotEnd(address caller);
    error StillOpen(address token, uint256 validTo);
    error NotLive(bytes32 digest);
    error GateSaysNo();
    error BelowFloor(uint256 amount, uint256 floor);
    error AboveWorth(uint256 usd, uint256 worth);
    error Short(uint256 held, uint256 wanted);
    error Used(bytes32 digest);

    event Opened(address indexed sellToken, address indexed buyToken, bytes uid, uint256 worth);
    event Ended(address indexed token, bytes uid, uint256 returned);

    /// @notice The one order that may be settled of a token sold. `worth` is what the budget was charged, in 1e18 USD; `agent` is
    /// who had the power when it was opened: taken away, or given to another, it is gone from this order, too.
    struct Live {
        bytes32 digest;
        address buyToken;
        uint32 validTo;
        bool buys;
        uint128 sellAmount;
        uint128 buyAmount;
        uint96 worth;
        address agent;
    }

    /// CoW Protocol's settlement contract and vault relayer: the same on every chain that has them.
    address public constant SETTLEMENT = 0x9008D19f58AAbD9eD0D60971565AA8510560ab41;
    address public constant RELAYER = 0xC92E8bdf79f0507f65a392b0ab4667716BFE0110;
    bytes4 private constant MAGIC = 0x1626ba7e;
    /// GPv2Order's type, and the words it spells its enumerations with.
    bytes32 private constant ORDER = keccak256(
        "Order(address sellToken,address buyToken,address receiver,uint256 sellAmount,uint256 buyAmount,uint32 validTo,bytes32 appData,uint256 feeAmount,string kind,bool partiallyFillable,string sellTokenBalance,string buyTokenBalance)"
    );
    bytes32 private constant SELL = keccak256("sell");
    bytes32 private constant BUY = keccak256("buy");
    bytes32 private constant ERC20 = keccak256("erc20");
    /// The hash of the document "{}".
    bytes32 public constant APP_DATA = keccak256("{}");

    /// @notice The Gate that opens orders here, and the wallet that receives. In storage: all have the same runtime code.
    address public gate;
    address public safe;
    mapping(address => Live) public live;

    constructor(address gate_) {
        (gate, safe) = (gate_, IGate(gate_).safe());
    }

    // ------------------------------------------------------------------ the Gate's two verbs
    /// @notice Lets the order exist. The Gate has checked its rules, charged `worth`, and paid what it sells to this contract.
    function open(Order calldata o, uint256 worth) external {
        if (msg.sender != gate) revert NotTheGate(msg.sender);
        if (!over(o.sellToken)) revert StillOpen(o.sellToken, live[o.sellToken].validTo);
        // What was here of the token before the Gate paid: the rest of an order that is over.
        uint256 held = o.sellToken.held();
        if (held < o.sellAmount) revert Short(held, o.sellAmount);
        _close(o.sellToken, held - o.sellAmount);
        if (worth > type(uint96).max) revert AboveWorth(worth, type(uint96).max);
        bytes32 digest = digestOf(o);
        // The same fields are the same order: what was settled or ended of it before is not opened again.
        if (ISettlement(SETTLEMENT).filledAmount(_uid(digest, o.validTo)) != 0) revert Used(digest);
        address agent = IGate(gate).agent();
        live[o.sellToken] = Live(digest, o.buyToken, o.validTo, o.buys, o.sellAmount, o.buyAmount, uint96(worth), agent);
        o.sellToken.approve(RELAYER, o.sellAmount);
        emit Opened(o.sellToken, o.buyToken, _uid(digest, o.validTo), worth);
    }

    /// @notice Ends the order that sells `token` and pays what is left of it back to the Safe: whenever the Gate, the Safe or
    /// one of its owners says so, and for anybody once nothing can settle it any more. What lies here otherwise goes back, too.
    function end(address token) external {
        if (!over(token)) {
            if (msg.sender != gate && msg.sender != safe && !ISafe(safe).isOwner(msg.sender)) revert MayNotEnd(msg.sender);
            ISettlement(SETTLEMENT).invalidateOrder(uidOf(token));
        }
        _close(token, token.held());
    }

    // ------------------------------------------------------------------ what the settlement contract asks
    /// @notice EIP-1271, of an order's digest and the token it sells. Reverts, saying why, for all that may not be settled now.
    function isValidSignature(bytes32 digest, bytes calldata signature) external view returns (bytes4) {
        address token = abi.decode(signature, (address));
        Live memory o = live[token];
        if (o.digest == 0 || o.digest != digest || block.timestamp > o.validTo) revert NotLive(digest);
        IGate g = IGate(gate);
        if (g.frozen() || block.timestamp > g.expiry() || g.offers() != address(this) || g.agent() != o.agent) revert GateSaysNo();
        (uint256 floor, uint256 usd) = g.floorOf(token, o.buyToken, o.sellAmount);
        if (o.buyAmount < floor) revert BelowFloor(o.buyAmount, floor);
        if (usd > o.worth) revert AboveWorth(usd, o.worth);
        return MAGIC;
    }

    // ------------------------------------------------------------------ views
    /// @notice Whether nothing can settle what sells `token` any more: there is none, it lapsed, or all of it was settled.
    function over(address token) public view returns (bool) {
        Live memory o = live[token];
        if (o.digest == 0 || block.timestamp > o.validTo) return true;
        return ISettlement(SETTLEMENT).filledAmount(_uid(o.digest, o.validTo)) >= (o.buys ? o.buyAmount : o.sellAmount);
    }

    /// @notice The UID of the order that sells `token`: digest, owner, last second.
    function uidOf(address token) public view returns (bytes memory) {
        return _uid(live[token].digest, live[token].validTo);
    }

    /// @notice What the settlement contract calls the order of these fields.
    function digestOf(Order calldata o) public view returns (bytes32) {
        bytes memory first = abi.encode(ORDER, o.sellToken, o.buyToken, safe, o.sellAmount, o.buyAmount, o.validTo);
        bytes memory rest = abi.encode(APP_DATA, uint256(0), o.buys ? BUY : SELL, o.partiallyFillable, ERC20, ERC20);
        bytes32 order = keccak256(bytes.concat(first, rest));
        return keccak256(abi.encodePacked("\x19\x01", ISettlement(SETTLEMENT).domainSeparator(), order));
    }

    // ------------------------------------------------------------------ inside
    function _close(address token, uint256 left) private {
        bytes memory uid = uidOf(token);
        bool was = live[token].digest != 0;
        delete live[token];
        if (IERC20(token).allowance(address(this), RELAYER) != 0) token.approve(RELAYER, 0);
        token.send(safe, left);
        if (was) emit Ended(token, uid, left);
    }

    function _uid(bytes32 digest, uint32 validTo) private view returns (bytes memory) {
        return abi.encodePacked(digest, address(this), validTo);
    }
}
